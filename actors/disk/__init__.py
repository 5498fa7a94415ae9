"""What is written: the storage writer, the session files, backups."""
