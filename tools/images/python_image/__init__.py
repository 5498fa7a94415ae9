"""A live Python image: workspaces of Python code behind docs/image-protocol.md.

Two processes make it. The *front* owns the socket and never runs user code. The *object memory*
is its child: it holds every workspace and runs one request at a time. When the object memory dies,
the front starts another, under a new epoch. A snapshot is made in a forked copy of the object
memory, or at once where that is quick and runs no code of users. Runs on Unix; it was only ever
run on Linux.

`launcher.run` starts an image; `python -m tools.images.python_image --help` does so from a shell.
"""
