"""All sessions: who serves which, new ones, lists and counts, clients' preferences."""
