"""`stui` as a user who may do nothing: root becomes nobody, everybody else stays who they are.

    python -m tests.tools.unprivileged_stui ARGUMENTS

Everything is imported before, because nobody may not be able to read it.
"""

import encodings.ascii
import encodings.idna
import os
import sys

import tools.doctor.checks
import tools.doctor.repairing
from tools.cli.command import cli

_NOBODY = 65534

__all__ = ["encodings", "tools"]

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
cli(sys.argv[1:], prog_name="stui")
