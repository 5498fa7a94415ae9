"""The formats of snapshots that this image makes and restores."""

OWN_FORMAT = "python-pickle-1"
COMMON_FORMAT = "stui-graph-1"
FORMATS = (OWN_FORMAT, COMMON_FORMAT)
