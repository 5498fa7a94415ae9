"""The one error of the client library's own."""

from __future__ import annotations

from protocol.errors import StuiError


class NoAnswer(StuiError):
    """Nothing answered in time; whether the request was done is not known.

    Sent again with the same request id, it is not done twice.
    """

    error_code = "no_answer"
    retryable = True
