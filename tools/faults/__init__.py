"""Breaks a running service on purpose, under load, and checks what was promised.

`torture.py` runs it all: `service.py` are the processes that die, `plan.py` says when and how,
`workers.py` are the clients, who keep books (`books.py`), and `report.py` tells what came of it.
"""
