"""Taking a workspace's contents as data, and making them again from it.

`taking` runs in a child of the object memory, `restoring` in the object memory itself.
"""
