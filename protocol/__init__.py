"""The wire contract: typed requests and replies, dialects, encodings, errors."""
