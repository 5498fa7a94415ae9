"""One session: its actor, its document and commits, the jobs in its workspace, its events."""
