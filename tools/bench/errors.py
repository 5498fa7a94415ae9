"""Why the bench gives up."""


class CannotMeasure(Exception):
    """Something that is needed did not start, did not answer, or answered an error."""
