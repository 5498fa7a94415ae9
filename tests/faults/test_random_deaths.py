"""Actors die at random, singly and in pairs, in every way, while clients work and images restart.

`STUI_FAULTS_SEED` replays a run, and `STUI_FAULTS_EXAMPLES` says how many services are tried. What
is asked is the same for a seed; when threads run is not, so that a failure may need some repeats.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pykka
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from storage import failpoints
from storage.failpoint_names import FAILPOINTS
from tests.faults.developers import at_work
from tests.faults.patient import Patient
from tests.machinery.leftovers import threads
from tests.support.actors import CHILDREN, OF_THE_TREE, running
from tests.support.backend import running_backend
from tests.support.images import FULL, SNAPSHOTS, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, fresh_client

SERVED_WITHIN = 5.0
"""Seconds; it is a fraction of one on a machine with nothing else to do, and is printed."""

MOST_DEATHS = 4
"""Of one kind in one service: more in 30 s and the tree gives up, as it should."""

TOGETHER = ("writer", "images")

KINDS = (*OF_THE_TREE, *CHILDREN)

# Who dies of an error at a place.
VICTIMS = {
    "store.": "writer",
    "mark.": "writer",
    "load.": "writer",
    "gateway.send.after": "gateway",  # before, the reply is lost: its client has to ask again
    "events.": "gateway",
    "image.connect": "image",
    "image.send": "image",
    "session.load": "session",
    "evaluation.": "session",
    "snapshot.": "session",
    "workspace.": "session",
}
PLACES = [name for name in FAILPOINTS if name.startswith(tuple(VICTIMS))]

nth = st.integers(1, 12)


@dataclass
class Books:
    """What a client was promised about its one session."""

    client: str
    session: str
    asker: Patient
    state: Message = field(default_factory=dict)
    revision: int = 1
    codes: list[str] = field(default_factory=list)
    """Codes in the order in which they were asked for."""
    answered: set[str] = field(default_factory=set)
    saved: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


class Service(RuleBasedStateMachine):
    """A backend with an image that keeps snapshots, clients that update all the time, and books."""

    def __init__(self) -> None:
        super().__init__()
        self.before = threads(), len(pykka.ActorRegistry.get_all())
        self.deaths: Counter[str] = Counter()
        self.books: list[Books] = []
        self.number = 0
        with ExitStack() as opened:
            directory = Path(tempfile.mkdtemp(prefix="stui-"))
            opened.callback(shutil.rmtree, directory)
            self.image = opened.enter_context(fake_image())
            self.image.capabilities = (*FULL, *SNAPSHOTS)
            self.backend = opened.enter_context(
                running_backend(directory, images={"fake": self.image.endpoint}, hang_after=6.0)
            )
            self.backend.wait_for_image("fake")
            opened.callback(failpoints.disarm_all)
            self.team = opened.enter_context(
                at_work(lambda: self.backend.endpoint, evaluating=0, updating=2)
            )
            self.opened = opened.pop_all()
        self.begin_session()

    # --- work

    def any_books(self, choice: int) -> Books:
        return self.books[choice % len(self.books)]

    @precondition(lambda self: len(self.books) < 3)
    @rule()
    def begin_session(self) -> None:
        client, asker = fresh_client(), Patient(lambda: self.backend.endpoint)
        created = asker.do("create_session", client_id=client)
        self.books.append(Books(client, created["session_id"], asker))

    @rule(choice=st.integers(0, 2), times=st.integers(1, 5))
    def update(self, choice: int, times: int) -> None:
        books = self.any_books(choice)
        for _ in range(times):
            self.number += 1
            state = {"number": self.number, "of": books.client}
            result = books.asker.do(
                "update_session_state", session_id=books.session, state_data=state
            )
            assert result["session_state"] == state
            assert result["revision"] > books.revision, "a revision went backwards"
            books.state, books.revision = state, result["revision"]

    @rule(choice=st.integers(0, 2), times=st.integers(1, 3))
    def evaluate(self, choice: int, times: int) -> None:
        books = self.any_books(choice)
        for _ in range(times):
            self.number += 1
            code = f"{books.client}: {self.number}"
            books.codes.append(code)
            result = books.asker.try_to("evaluate", session_id=books.session, code=code)
            if result is None:
                books.unknown.add(code)
                continue
            assert result["result"] == code, "an answer to other code"
            books.answered.add(code)
            if result["context_saved"]:
                books.saved.add(code)

    @rule(choice=st.integers(0, 2))
    def save_and_load(self, choice: int) -> None:
        """What was loaded is what was saved; the workspace is the same before and afterwards."""
        books = self.any_books(choice)
        saved = books.asker.do("save_context", session_id=books.session, label="here")
        loaded = books.asker.do(
            "load_context", session_id=books.session, context_id=saved["context_id"]
        )
        assert loaded["context_id"] == saved["context_id"]
        books.revision = max(books.revision, loaded["revision"])

    @rule(choice=st.integers(0, 2))
    def close_and_restore(self, choice: int) -> None:
        books = self.any_books(choice)
        books.asker.do("close_session", session_id=books.session)
        restored = books.asker.do("restore_session", session_id=books.session)
        assert restored["session_state"] == books.state
        books.revision = restored["revision"]

    # --- what goes wrong

    def may_die(self, kind: str) -> bool:
        """Note a death that is about to come; whether the service bears one more."""
        if self.bears(kind, 1):
            self.deaths[kind] += 1
            return True
        return False

    def bears(self, kind: str, deaths: int) -> bool:
        """Whether so many deaths more leave the tree below its limit, whenever they come.

        The directory of images dies on where the writer has just died and opens the store.
        """
        if kind in TOGETHER:
            return sum(self.deaths[each] for each in TOGETHER) + deaths <= MOST_DEATHS - 1
        return self.deaths[kind] + deaths <= MOST_DEATHS

    @rule(kind=st.sampled_from(KINDS), first=nth)
    def dies_of_a_message(self, kind: str, first: int) -> None:
        if self.may_die(kind):
            failpoints.arm(f"{kind}.receive", "raise", first=first)

    @rule(one=st.sampled_from(KINDS), other=st.sampled_from(KINDS), first=nth, second=nth)
    def two_die(self, one: str, other: str, first: int, second: int) -> None:
        self.dies_of_a_message(one, first)
        if other != one:
            self.dies_of_a_message(other, second)

    @rule(kind=st.sampled_from(KINDS), first=nth)
    def dies_and_so_does_its_successor(self, kind: str, first: int) -> None:
        if self.bears(kind, 2):
            self.deaths[kind] += 2
            failpoints.arm(f"{kind}.start", "raise")
            failpoints.arm(f"{kind}.receive", "raise", first=first)

    @rule(kind=st.sampled_from([kind for kind in KINDS if kind != "gateway"]))
    def is_stopped(self, kind: str) -> None:
        """By whomever: it is not what its parent wanted.

        Only the end of the service stops a gateway: it closes the door, with what is on its way
        through it.
        """
        for ref in running(kind)[:1]:
            if self.may_die(kind):
                ref.stop(block=False)

    @rule(place=st.sampled_from(PLACES), error=st.sampled_from(["", "EIO", "ENOSPC"]), first=nth)
    def fails_at(self, place: str, error: str, first: int) -> None:
        victim = next(kind for start, kind in VICTIMS.items() if place.startswith(start))
        if self.may_die(victim):
            failpoints.arm(place, "raise", error, first=first)

    @rule()
    def image_is_started_anew(self) -> None:
        self.image.start_anew()

    # --- what has to be so

    @rule()
    def everybody_is_served(self) -> None:
        before = self.team.progress()
        eventually(lambda: self.team.has_moved_since(before), within=SERVED_WITHIN)

    @rule(choice=st.integers(0, 2))
    def look(self, choice: int) -> None:
        self.check(self.any_books(choice))

    def check(self, books: Books) -> None:
        restored = books.asker.do("restore_session", session_id=books.session)
        assert restored["session_state"] == books.state, "an acknowledged update is lost"
        assert restored["revision"] >= books.revision, "an acknowledged revision is lost"
        ran = [each.parameters["code"] for each in self.image.asked_for("evaluate")]
        mine = Counter(code for code in ran if code.startswith(f"{books.client}: "))
        again = [code for code, times in mine.items() if times > 1]
        # The image is asked again for what runs already, by the same name: it runs once.
        for code in again:
            names = {
                each.parameters["request"]
                for each in self.image.asked_for("evaluate")
                if each.parameters["code"] == code
            }
            assert len(names) == 1, f"{code} was run under several names: {names}"
        assert books.answered <= set(mine), "code was answered and never ran"

    def check_history(self, books: Books) -> None:
        page = books.asker.do("get_session_history", session_id=books.session, limit=1000)
        entries = page["history"]
        assert [entry["evaluation"] for entry in entries] == list(range(1, page["total"] + 1))
        assert all(entry["state"] != "running" for entry in entries)
        finished = Counter(entry["code"] for entry in entries if entry["state"] == "finished")
        assert books.answered <= set(finished), "an answered evaluation is not in the history"
        assert all(times == 1 for times in finished.values()), "code was run twice"

    def check_workspace(self, books: Books) -> None:
        """What was saved is in the workspace, of whichever life the image is."""
        books.asker.do("evaluate", session_id=books.session, code=f"{books.client}: last")
        there = self.image.workspaces[books.session]
        assert len(there) == len(set(there)), "code is in the workspace twice"
        assert books.saved <= set(there), "what was saved has not been restored"
        order = {code: number for number, code in enumerate(books.codes)}
        numbers = [order[code] for code in there if code in order]
        assert numbers == sorted(numbers)

    def teardown(self) -> None:
        try:
            failpoints.disarm_all()
            self.everybody_is_served()
            self.team.finish()
            self.team.check(self.backend.endpoint)
            for books in self.books:
                self.check(books)
                self.check_history(books)
                self.check_workspace(books)
        finally:
            for books in self.books:
                books.asker.close()
            self.opened.close()
        known, actors = self.before
        eventually(lambda: len(pykka.ActorRegistry.get_all()) == actors)
        eventually(lambda: threads() <= known)
        slowest = max((books.asker.longest for books in self.books), default=0.0)
        sys.stdout.write(f"{self.deaths.total()} deaths, the slowest answer: {slowest:.2f} s\n")


@pytest.mark.timeout(600)
def test_nothing_that_was_promised_is_broken_by_actors_that_die_at_random() -> None:
    number = int(os.environ.get("STUI_FAULTS_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"STUI_FAULTS_SEED={number}\n")
    wanted = settings(
        max_examples=int(os.environ.get("STUI_FAULTS_EXAMPLES", "8")),
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # when threads run is not repeatable: nothing can be made smaller
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Service), settings=wanted)
