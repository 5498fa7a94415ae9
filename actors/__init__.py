"""The running service: one module an actor, and the supervisor that keeps them."""
