"""What a process has allocated, as its allocators count it.

What the process holds of the machine (its resident set) follows that late and in steps: freed
memory stays with glibc's malloc in pieces, to be used again.
"""

from __future__ import annotations

import ctypes
import gc
import sys


class _Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> dict[str, float]:
    """Bytes in use by C code and large objects, and the memory blocks and objects of Python.

    Without the bytes where there is no glibc 2.33 or newer.
    """
    gc.collect()
    found: dict[str, float] = {
        "python blocks": sys.getallocatedblocks(),
        "python objects": len(gc.get_objects()),
    }
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return found
    mallinfo2.restype = _Mallinfo2
    counted = mallinfo2()
    return {"malloc bytes": counted.uordblks + counted.hblkhd, **found}
