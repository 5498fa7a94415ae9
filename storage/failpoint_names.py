"""All failpoints: what happens where each of them is hit.

`KIND.receive` and `KIND.start` are hit by every actor of that kind (actors/supervised.py). A test
compares this table with the code.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_ACTORS: Final = {
    "backup_keeper": "the keeper of backups",
    "config_watcher": "the watcher of the settings file and of files dropped in",
    "gateway": "the gateway, which owns the clients' sockets",
    "image": "the connection to one image",
    "images": "the directory of the images",
    "janitor": "the janitor, which cleans up",
    "session": "a session",
    "sessions": "the directory of the sessions",
    "transcoder": "the transcoder of large bodies",
    "writer": "the storage writer",
}

_PLACES: Final = {
    # the log
    "store.open.before": "The database is about to be opened.",
    "store.open.after": "The database is open, and whole.",
    "store.begin": "A transaction is about to begin.",
    "store.apply.before": "A session's commit is about to be written into the transaction.",
    "store.apply.after": "A session's commit is written, not durable.",
    "store.contexts.before": "A commit's contexts are about to be written into the transaction.",
    "store.contexts.after": "A commit's contexts are written, not durable.",
    "store.commit.before": "A transaction is about to be flushed.",
    "store.commit.after": "A transaction is durable; nobody has been told.",
    "mark.before": "A transaction is durable; its number is about to be noted beside the database.",
    "mark.after": "The number of a durable transaction is noted beside the database.",
    "checkpoint.before": "The log is about to be copied into the database, at start.",
    "checkpoint.after": "The log is copied into the database.",
    "load.before": "A session is about to be read, and its fence raised.",
    "load.after": "A session is read and its fence raised, not durable.",
    "migrate.before": "The schema is about to be brought to the next version.",
    "migrate.commit.before": "The schema's next version is written, not durable.",
    "migrate.commit.after": "The schema's next version is durable.",
    "lock.before": "The data directory is about to be locked.",
    "lock.after": "The data directory is locked; whose it is is about to be noted.",
    "lock.noted": "The lock of the data directory has this process's id.",
    # files
    "durable.write.before": "A new file is about to be written.",
    "durable.flush.before": "A new file is written and about to be flushed.",
    "durable.flush.after": "A new file is flushed.",
    "durable.directory.before": "A directory's entries are about to be flushed.",
    "durable.directory.after": "A directory's entries are flushed.",
    "file.write.before": "A session's file is about to be written.",
    "file.write.after": "A session's new file is durable beside the old one.",
    "file.rename.before": "A session's file is about to become the previous generation.",
    "file.rename.between": "The new generation is about to take the name of the old one.",
    "file.rename.after": "A session's new file is in its place.",
    "file.remove.before": "A session's files are about to be removed.",
    "file.remove.after": "A session's files are removed.",
    "dropped.rename.before": "A file that was dropped in and taken is about to be renamed.",
    "dropped.rename.after": "A file that was dropped in and taken is renamed.",
    # sockets
    "bind.before": "An endpoint is about to be bound.",
    "bind.after": "An endpoint is bound.",
    "gateway.send.before": "A reply is about to be handed to its client's socket.",
    "gateway.send.after": "A reply is handed to its client's socket.",
    "events.send.before": "An event is about to be handed to a subscriber's socket.",
    "events.send.after": "An event is handed to a subscriber's socket.",
    "image.connect.before": "An image is about to be connected to.",
    "image.connect.after": "A connection to an image has begun.",
    "image.send.before": "A request is about to be handed to an image's socket.",
    "image.send.after": "A request is handed to an image's socket.",
    # sessions
    "session.load.before": "A session's actor is about to ask for its document.",
    "session.load.after": "A session's actor has its document.",
    "evaluation.send.before": "An evaluation is recorded and about to be sent to the image.",
    "evaluation.send.after": "An evaluation is on its way to the image.",
    "evaluation.store.before": "An evaluation's outcome is about to go to the writer.",
    "evaluation.store.after": "An evaluation's outcome has gone to the writer.",
    "snapshot.ask.before": "An image is about to be asked for a snapshot.",
    "snapshot.ask.after": "An image is asked for a snapshot.",
    "snapshot.taken": "An image has answered a request for a snapshot.",
    "snapshot.store.before": "A snapshot of its own is about to go to the writer.",
    "snapshot.store.after": "A snapshot of its own has gone to the writer.",
    "workspace.read.before": "A stored snapshot is about to be read, to be brought back.",
    "workspace.read.after": "A stored snapshot is read, to be brought back.",
    "workspace.restore.before": "An image is about to be given a snapshot.",
    "workspace.restore.after": "An image is given a snapshot.",
    "workspace.answered": "An image has answered to a snapshot that it was given.",
    "workspace.settle.before": "What became of a workspace is about to go to the writer.",
    "workspace.settle.after": "What became of a workspace has gone to the writer.",
    # backups, recovery
    "backup.copy.before": "A backup is about to be copied.",
    "backup.copy.step": "Some pages of a backup are copied.",
    "backup.copy.after": "A backup is copied, not verified.",
    "backup.verify.after": "A backup is verified, not named.",
    "backup.seal.before": "A backup's end is about to be written and flushed.",
    "backup.rename.before": "A backup is flushed and about to get its name.",
    "backup.rename.after": "A backup is there.",
    "backup.prune": "A backup that is not kept any longer is about to be removed.",
    "backup.pruned": "Backups that are not kept any longer are removed.",
    "backup.restore.begin": "A backup is about to be restored.",
    "backup.restore.session": "A session is about to be put into the restored database.",
    "backup.restore.commit.before": "The restored database is about to be decided for.",
    "backup.restore.commit.after": "The restored database is in its place.",
    "rebuild.begin": "The database is about to be made anew.",
    "rebuild.salvage.after": "What is readable of the old database is at hand.",
    "rebuild.session.before": "A session is about to be put into the new database.",
    "rebuild.sessions.after": "All sessions are in the new database.",
    "rebuild.commit.before": "The new database is about to take the place of the old one.",
    "rebuild.commit.after": "The new database is in its place.",
    "repair.aside.after": "What is about to be repaired is copied aside.",
    "repair.session.before": "A damaged session is about to be replaced.",
    "repair.commit.before": "A repair is about to be flushed.",
    "repair.commit.after": "A repair is durable.",
    "replacement.flush.before": "A new database is about to be flushed.",
    "replacement.commit.before": "A new database is flushed and about to be decided for.",
    "replacement.commit.after": "It is durable that a new database replaces the old one.",
    "replacement.begin": "A new database that was decided for is about to be put in its place.",
    "replacement.move.before": "A file of the old database is about to be set aside.",
    "replacement.move.after": "A file of the old database is set aside.",
    "replacement.aside": "All of the old database but itself is set aside.",
    "replacement.between": "The old database is set aside, the new one not in its place.",
    "replacement.after": "The new database is in its place, its report not.",
    "replacement.end": "The new database and its report are in their places.",
}

FAILPOINTS: Final = MappingProxyType(
    {
        **_PLACES,
        **{f"{kind}.start": f"{who.capitalize()} starts." for kind, who in _ACTORS.items()},
        **{
            f"{kind}.receive": f"{who.capitalize()} has a message." for kind, who in _ACTORS.items()
        },
    }
)
"""A sentence by name."""
