"""The SQLite store does what the few dicts of the model do, whatever the order of calls."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage.document import Change, ImageRecord, SessionHead
from storage.sqlite_store import SqliteStore
from storage.store import Commit, StaleWriter, Store, Transaction
from tests.storage.contract import Clock
from tests.storage.memory_store import MemoryStore
from tests.storage.samples import (
    a_reply,
    contexts,
    evaluations,
    events,
    heads,
    section_dicts,
    texts,
)

SESSIONS = [SessionId("session_a"), SessionId("session_b"), SessionId("session_c")]
# Whose session it is never changes.
OWNERS = {SESSIONS[0]: ClientId("ann"), SESSIONS[1]: ClientId("ann"), SESSIONS[2]: ClientId("bob")}
IMAGES = [ImageId("i1"), ImageId("i2")]
ALL = 1000

any_session = st.sampled_from(SESSIONS)
any_head = heads(any_session, st.just(ClientId("")))
any_evaluation = st.none() | evaluations(st.integers(1, 4))
request_ids = st.sampled_from(["one", "two"])
any_reply = st.none() | st.builds(
    a_reply, request_ids, st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([*SESSIONS, "client:x"])
)
# All of a change but its head, which says whose it is.
any_parts = st.fixed_dictionaries(
    {"sections": section_dicts, "evaluation": any_evaluation, "reply": any_reply},
    optional={
        "contexts": st.lists(contexts(st.integers(-1, 3)), max_size=2),
        "dropped_contexts": st.lists(st.integers(-1, 3), max_size=2),
        "events": st.lists(events(st.integers(1, 9)), max_size=3),
        "keep_events": st.none() | st.integers(0, 4),
        "keep_evaluations": st.none() | st.integers(0, 4),
        "history": st.lists(evaluations(st.integers(1, 4)), max_size=2),
    },
)
# The fence and number that a commit should have, and how far off this one is.
wrong_by = st.sampled_from([(0, 0), (0, 0), (0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)])


class StoreMachine(RuleBasedStateMachine):
    """Every step is done to both stores; what they answer must be the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.model: Store = MemoryStore(self.clock)
        self.real: Store = self.opened()
        self.fences: dict[SessionId, tuple[int, int]] = {}

    def opened(self) -> Store:
        return SqliteStore(Path(self.directory.name) / "stui.db", clock=self.clock)

    def teardown(self) -> None:
        self.real.close()
        self.directory.cleanup()

    @initialize(first=any_head)
    def start(self, first: SessionHead) -> None:
        self.create([first], {})

    @rule(some=st.lists(any_head, max_size=2), parts=any_parts)
    def create(self, some: list[SessionHead], parts: dict[str, Any]) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            for head in some:
                change = going_on({}, Change(head=owned(head), **parts))
                try:
                    fence = model.create_session(change)
                except StaleWriter:
                    assert refuses(real, change)
                else:
                    self.fences[head.session_id] = fence, real.create_session(change)

    @rule(group=st.lists(st.tuples(any_head, any_parts, wrong_by), max_size=3))
    def commit_a_group(self, group: list[Any]) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            for head, parts, (fence_off, number_off) in group:
                session_id = head.session_id
                fences = self.fences.get(session_id, (0, 0))
                # Inside the block only the model's own transaction knows the number so far.
                session = getattr(model, "sessions").get(session_id)  # noqa: B009 - not in the interface
                number = (session.number if session else 0) + 1 + number_off
                there = session.evaluations if session else {}
                change = going_on(there, Change(head=owned(head), **parts))
                answers = []
                for transaction, fence in zip((model, real), fences, strict=True):
                    try:
                        transaction.apply(Commit(session_id, fence + fence_off, number, change))
                        answers.append("stored")
                    except StaleWriter:
                        answers.append("stale")
                assert answers[0] == answers[1]

    @rule(session_id=any_session)
    def open_a_session(self, session_id: SessionId) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            try:
                expected = model.open_session(session_id)
            except KeyError:
                assert self.real.head(session_id) is None
                return
            got = real.open_session(session_id)
            assert got.fence > got.previous_fence == self.fences[session_id][1]
            assert (got.number, got.head, got.sections, got.running) == (
                expected.number,
                expected.head,
                expected.sections,
                expected.running,
            )
            self.fences[session_id] = expected.fence, got.fence

    @rule(session_id=any_session)
    def delete(self, session_id: SessionId) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            for transaction, fence in zip(
                (model, real), self.fences.pop(session_id, (0, 0)), strict=True
            ):
                try:
                    transaction.delete_session(session_id, fence)
                except StaleWriter:
                    assert self.model.head(session_id) is None

    @rule(session_id=any_session, used_at=st.floats(0, 1e12), filed=st.integers(0, 5))
    def touch_and_file(self, session_id: SessionId, used_at: float, filed: int) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            for transaction in (model, real):
                transaction.touch(session_id, used_at)
                transaction.mark_filed(session_id, filed)

    @rule(image_id=st.sampled_from(IMAGES), keep=st.booleans(), seconds=st.floats(0, 1e9))
    def keep_images_and_time(self, image_id: ImageId, keep: bool, seconds: float) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            for transaction in (model, real):
                if keep:
                    image = ImageRecord(image_id=image_id, address=f"tcp://h:{seconds}", name="n")
                    transaction.put_image(image)
                else:
                    transaction.remove_image(image_id)
                transaction.set_running_time(seconds)

    @rule(client_id=st.sampled_from(sorted(set(OWNERS.values()))), preferences=texts)
    def prefer(self, client_id: ClientId, preferences: JsonText) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            revision = model.put_preferences(client_id, preferences)
            assert real.put_preferences(client_id, preferences) == revision

    @rule(before=st.sampled_from([1.0, 2.0, 3.0]))
    def prune(self, before: float) -> None:
        with self.model.transaction() as model, self.real.transaction() as real:
            assert model.prune_replies(before) == real.prune_replies(before)

    @rule(session_id=any_session)
    def give_up_half_way(self, session_id: SessionId) -> None:
        with suppress(InterruptedInTest), self.real.transaction() as real:
            real.touch(session_id, 2e12)
            real.set_running_time(-1.0)
            real.put_preferences(OWNERS[session_id], JsonText(b'{"never": true}'))
            raise InterruptedInTest

    @rule()
    def close_and_open(self) -> None:
        self.real.close()
        self.real = self.opened()

    @rule(seconds=st.sampled_from([1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def both_answer_the_same(self) -> None:
        model, real = self.model, self.real
        for session_id in SESSIONS:
            assert real.contents(session_id) == model.contents(session_id)
            assert real.head(session_id) == model.head(session_id)
            assert real.evaluations(session_id, 1, 2) == model.evaluations(session_id, 1, 2)
            assert real.evaluation(session_id, 2) == model.evaluation(session_id, 2)
            assert real.contexts(session_id) == model.contexts(session_id)
            for number in (-1, 0, 3):
                assert real.context(session_id, number) == model.context(session_id, number)
            assert real.events(session_id, 3, 2) == model.events(session_id, 3, 2)
            assert real.events(session_id, 0, ALL) == model.events(session_id, 0, ALL)
            assert real.first_event(session_id) == model.first_event(session_id)
            for request_id in ("one", "two"):
                remembered = model.remembered(session_id, request_id)
                assert real.remembered(session_id, request_id) == remembered
        for client_id in OWNERS.values():
            assert real.heads_of_client(client_id) == model.heads_of_client(client_id)
            assert real.preferences(client_id) == model.preferences(client_id)
        for time in (0.0, 1e6, 1e11, 1e13):
            assert real.counts(time) == model.counts(time)
            ended = real.heads_ended_before(time, ALL)
            assert [head.ended_at for head in ended] == sorted(
                head.ended_at for head in ended if head.ended_at is not None
            )
            assert by_id(ended) == by_id(model.heads_ended_before(time, ALL))
            expired = real.heads_expired_before(time, ALL)
            assert [head.used_at for head in expired] == sorted(head.used_at for head in expired)
            assert by_id(expired) == by_id(model.heads_expired_before(time, ALL))
        for image_id in IMAGES:
            count = model.session_count_of_image(image_id)
            assert real.session_count_of_image(image_id) == count
            assert real.heads_of_image(image_id) == model.heads_of_image(image_id)
        assert real.heads_of_image(None) == model.heads_of_image(None)
        assert real.heads_trashed() == model.heads_trashed()
        now = self.clock.now
        assert sorted(real.unfiled(now, ALL)) == sorted(model.unfiled(now, ALL))
        assert sorted(real.unfiled(now + 1, ALL)) == sorted(model.unfiled(now + 1, ALL))
        assert real.images() == model.images()
        assert real.running_time() == model.running_time()


class InterruptedInTest(Exception):
    """Raised in the middle of a transaction."""


def owned(head: SessionHead) -> SessionHead:
    return msgspec.structs.replace(head, client_id=OWNERS[head.session_id])


def going_on(there: Collection[int], change: Change) -> Change:
    """CHANGE with evaluations as a session has them: new ones follow the last that is THERE."""
    numbers = set(there)
    written = []
    for each in [*change.history, *([change.evaluation] if change.evaluation else [])]:
        number = each.number if each.number in numbers else max(numbers, default=0) + 1
        numbers.add(number)
        written.append(msgspec.structs.replace(each, number=number))
    head = msgspec.structs.replace(change.head, evaluations=max(numbers, default=0))
    if change.evaluation is None:
        return msgspec.structs.replace(change, head=head, history=written)
    *history, evaluation = written
    return msgspec.structs.replace(change, head=head, history=history, evaluation=evaluation)


def by_id(found: list[SessionHead]) -> list[SessionHead]:
    return sorted(found, key=lambda head: head.session_id)


def refuses(transaction: Transaction, change: Change) -> bool:
    try:
        transaction.create_session(change)
    except StaleWriter:
        return True
    return False


TestSqliteStoreAsModel = StoreMachine.TestCase
TestSqliteStoreAsModel.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
