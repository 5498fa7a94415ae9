"""Files that may change while the service runs."""
