"""The service seen from outside: counts, health, ids in the log."""
