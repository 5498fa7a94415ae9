"""Which sessions there were, and where each may come back from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from protocol.ids import SessionId
from storage.backup_chain import BackupChain
from storage.recovery_sources import Candidate, DatabaseSource, FileSource, candidates_in_files
from storage.salvage import Salvage
from storage.shared_rows import readable_meta
from storage.sqlite_rows import TRANSACTIONS


@dataclass(slots=True)
class KnownSessions:
    """`candidates` by session, and the backups that were needed to list them, newest first.

    `findings` say which lists have an end that could not be read, which files could not be, and
    which sessions stay removed.
    """

    candidates: dict[SessionId, list[Candidate]] = field(default_factory=dict)
    backups: list[DatabaseSource] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Note more places."""
        for candidate in candidates:
            self.candidates.setdefault(candidate.session_id, []).append(candidate)

    def add_outside(self, backups: BackupChain, files: Path) -> None:
        """Note what the newest good backup has, and the session files below FILES.

        Where the list in a backup breaks off, an older one completes it.
        """
        for source in backups.sources():
            self.backups.append(source)
            self.add(source.candidates())
            if not source.problem:
                break
            self.findings.append(
                f"Not all sessions of {source.name} could be listed: {source.problem}."
            )
        self.add(candidates_in_files(files, self.findings))

    def leave_out_removed(self, salvage: Salvage) -> None:
        """Take those out that had been removed from the damaged database since the backups.

        That is known where its list of sessions is whole, and newer than theirs.
        """
        if "sessions" in salvage.incomplete or not self.are_older_than(salvage):
            return
        for session_id, candidates in list(self.candidates.items()):
            if session_id not in salvage.traces and not has_file(candidates):
                del self.candidates[session_id]
                self.findings.append(
                    f"{session_id} is in {candidates[0].name}, and had been removed since: it is "
                    "not brought back. `stui sessions recover` does that."
                )

    def are_older_than(self, database: DatabaseSource) -> bool:
        """Whether each of `backups` is known to be of an earlier transaction than DATABASE."""
        last = readable_meta(database.connection, TRANSACTIONS)
        numbers = [readable_meta(each.connection, TRANSACTIONS) for each in self.backups]
        return last is not None and all(each is not None and each <= last for each in numbers)


def has_file(candidates: Iterable[Candidate]) -> bool:
    """Whether a session has a file, which goes with it when it is removed."""
    return any(isinstance(each.source, FileSource) for each in candidates)
