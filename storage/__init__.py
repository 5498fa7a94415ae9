"""What goes to disk: the session document, the store, sealed blobs and session files."""
