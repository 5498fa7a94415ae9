"""Live images that speak docs/image-protocol.md."""
