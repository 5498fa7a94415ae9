"""The client library: typed requests to a STUI backend that survive lost connections.

`stui` (stui.py) is its public face; use that.
"""
