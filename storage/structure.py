"""SQLite's own check of a database: of its pages, and of whether each index fits its table."""

from __future__ import annotations

import sqlite3


def structural_problem(connection: sqlite3.Connection, *, indexes: bool = True) -> str:
    """What is wrong first, empty where nothing is. Raises `sqlite3.Error`.

    Not to compare the INDEXES takes a fraction of the time.
    """
    check = "integrity_check" if indexes else "quick_check"
    problem = str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0])
    return "" if problem == "ok" else problem
