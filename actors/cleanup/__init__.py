"""What no live actor owns: the Janitor, and the rules of what it takes."""
