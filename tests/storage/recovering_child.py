"""A process that opens, backs up or restores a data directory, and is killed at a failpoint.

    recovering_child.py DIRECTORY open|backup|prune|restore

The environment arms the failpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path

from storage.backup_generations import Generations, prune
from storage.restore import Wish, restore_backup
from tests.storage.data_house import NOON, House


def main() -> None:
    house, task = House(Path(sys.argv[1])), sys.argv[2]
    if task == "open":
        house.opened().store.close()
    elif task == "backup":
        house.back_up()
    elif task == "prune":
        prune(house.backups, Generations())
    else:
        (backup,) = house.backups.glob("*.stui-backup")
        restore_backup(house.paths.directory, Wish(backup, force=True), NOON)


if __name__ == "__main__":
    main()
