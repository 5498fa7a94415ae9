"""The door to clients: sockets, requests under way, subscriptions, large bodies."""
