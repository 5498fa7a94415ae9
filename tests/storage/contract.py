"""What every store must do: one suite, for each implementation to inherit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from protocol.ids import ClientId, ImageId, SessionId
from protocol.replies import EvaluationState
from storage.document import ContextHead, ImageRecord
from storage.store import Commit, Preferences, StaleWriter, Store, StoredContext, StoreError
from tests.storage.samples import (
    a_change,
    a_commit,
    a_context,
    a_head,
    a_reply,
    a_session,
    an_evaluation,
    an_event,
    text,
)

S1 = a_session("s1")


class Clock:
    """Wall-clock time that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class StoreContract(ABC):
    """Tests of any store; a subclass says how one is opened."""

    @abstractmethod
    def open(self, directory: Path, clock: Callable[[], float]) -> Store:
        """Open a store in DIRECTORY, with what was stored there before."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, tmp_path: Path, clock: Clock) -> Iterator[Store]:
        store = self.open(tmp_path, clock)
        yield store
        store.close()

    def test_a_session_that_was_created_can_be_read(self, store: Store) -> None:
        change = a_change(name="s1", client="ann", sections={"session_state": text({"a": 1})})
        with store.transaction() as transaction:
            transaction.create_session(change)
        assert store.head(S1) == change.head
        contents = store.contents(S1)
        assert contents is not None
        assert (contents.number, contents.head) == (1, change.head)
        assert contents.sections == {"session_state": b'{"a": 1}'}

    def test_what_is_not_there_is_none_or_empty(self, store: Store) -> None:
        assert store.head(S1) is None
        assert store.contents(S1) is None
        assert store.evaluation(S1, 1) is None
        assert store.evaluations(S1, 0, 10) == []
        assert store.remembered("a", "b") is None
        assert store.contexts(S1) == []
        assert store.context(S1, 1) is None
        assert store.events(S1, 0, 10) == []
        assert store.first_event(S1) is None
        assert store.preferences(ClientId("nobody")) is None
        assert store.heads_of_image(None) == []
        assert store.heads_trashed() == []
        assert store.heads_of_client(ClientId("nobody")) == []
        assert store.images() == []
        assert store.running_time() == 0
        assert store.counts(0).total == 0
        with store.transaction() as transaction:
            transaction.create_session(a_change())
        assert store.contexts(S1) == []
        assert store.context(S1, 1) is None
        assert store.events(S1, 0, 10) == []
        assert store.first_event(S1) is None

    def test_nothing_is_visible_before_the_block_has_ended(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change())
            assert store.head(S1) is None
        assert store.head(S1) is not None

    def test_an_error_in_the_block_undoes_all_of_it(self, store: Store) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change())

        def fail() -> None:
            with store.transaction() as transaction:
                transaction.apply(a_commit(fence, 2, revision=2, reply=a_reply()))
                transaction.create_session(a_change("s2"))
                transaction.set_running_time(5.0)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert store.head(S1) == a_head()
        assert store.head(a_session("s2")) is None
        assert store.remembered("session_s1", "one") is None
        assert store.running_time() == 0

    def test_creating_a_session_that_exists_is_refused_and_the_rest_goes_on(
        self, store: Store
    ) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change(client="ann"))
            with pytest.raises(StaleWriter):
                transaction.create_session(a_change(client="bob", reply=a_reply()))
            transaction.create_session(a_change("s2"))
        assert store.head(S1) == a_head(client="ann")
        assert store.remembered("session_s1", "one") is None
        assert store.head(a_session("s2")) is not None

    def test_opening_raises_the_fence_and_hands_everything_over(self, store: Store) -> None:
        section = text({"x": [1]})
        running = an_evaluation(1)
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(sections={"inspector_state": section}))
            transaction.apply(a_commit(fence, 2, evaluation=running, evaluations=1))
        with store.transaction() as transaction:
            opened = transaction.open_session(S1)
            again = transaction.open_session(S1)
        assert fence < opened.fence < again.fence
        assert (opened.previous_fence, again.previous_fence) == (fence, opened.fence)
        assert opened.number == 2
        assert opened.head == a_head(evaluations=1)
        assert opened.sections == {"inspector_state": section}
        assert opened.running == running

    def test_an_evaluation_that_has_ended_is_not_handed_over_as_running(self, store: Store) -> None:
        ended = an_evaluation(1, "failed", error="no", details={"stack": ["a"]})
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(evaluation=an_evaluation(1)))
            transaction.apply(a_commit(fence, 2, evaluation=ended))
            assert transaction.open_session(S1).running is None
        assert store.evaluation(S1, 1) == ended

    def test_opening_what_is_not_there_is_a_key_error_and_the_rest_goes_on(
        self, store: Store
    ) -> None:
        with store.transaction() as transaction:
            with pytest.raises(KeyError):
                transaction.open_session(S1)
            transaction.create_session(a_change("s2"))
        assert store.head(a_session("s2")) is not None

    @pytest.mark.parametrize(("fence_off", "number"), [(-1, 2), (1, 2), (0, 1), (0, 3)])
    def test_a_commit_of_another_fence_or_number_writes_nothing(
        self, store: Store, fence_off: int, number: int
    ) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(sections={"session_state": text(1)}))
        with store.transaction() as transaction, pytest.raises(StaleWriter):
            transaction.apply(
                a_commit(
                    fence + fence_off,
                    number,
                    revision=2,
                    sections={"session_state": text(2), "knowledge": text(3)},
                    evaluation=an_evaluation(),
                    reply=a_reply(),
                    contexts=[a_context()],
                    events=[an_event()],
                )
            )
        assert store.context(S1, 1) is None
        assert store.contexts(S1) == []
        assert store.first_event(S1) is None
        contents = store.contents(S1)
        assert contents is not None
        assert (contents.number, contents.head) == (1, a_head())
        assert contents.sections == {"session_state": text(1)}
        assert contents.evaluations == []
        assert store.remembered("session_s1", "one") is None

    def test_a_writer_that_was_superseded_is_refused(self, store: Store) -> None:
        with store.transaction() as transaction:
            old = transaction.create_session(a_change())
            new = transaction.open_session(S1).fence
        with store.transaction() as transaction:
            with pytest.raises(StaleWriter):
                transaction.apply(a_commit(old, 2, name="s1", revision=7))
            transaction.apply(a_commit(new, 2, name="s1", revision=2))
        assert store.head(S1) == a_head(revision=2)

    def test_one_stale_commit_in_a_group_does_not_touch_the_others(self, store: Store) -> None:
        names = ["a", "b", "c"]
        with store.transaction() as transaction:
            fences = {name: transaction.create_session(a_change(name)) for name in names}
        refused = []
        with store.transaction() as transaction:
            for name in names:
                number = 5 if name == "b" else 2
                try:
                    transaction.apply(a_commit(fences[name], number, name, revision=2))
                except StaleWriter:
                    refused.append(name)
        assert refused == ["b"]
        heads = [store.head(a_session(name)) for name in names]
        assert [head.revision if head else None for head in heads] == [2, 1, 2]

    def test_a_commit_for_no_session_is_stale(self, store: Store) -> None:
        with store.transaction() as transaction, pytest.raises(StaleWriter):
            transaction.apply(a_commit(1, 1))

    def test_a_commit_replaces_only_the_sections_that_it_names(self, store: Store) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(
                a_change(sections={"session_state": text(1), "knowledge": text(2)})
            )
            transaction.apply(a_commit(fence, 2, sections={"knowledge": text(3)}))
        contents = store.contents(S1)
        assert contents is not None
        assert contents.sections == {"session_state": text(1), "knowledge": text(3)}

    def test_deleting_removes_everything_of_a_session_and_of_no_other(self, store: Store) -> None:
        parts: dict[str, Any] = {
            "sections": {"session_state": text(1)},
            "evaluation": an_evaluation(),
            "contexts": [a_context(1), a_context(2)],
            "events": [an_event(1)],
        }
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(reply=a_reply(), **parts))
            transaction.create_session(
                a_change("s2", reply=a_reply(scope=a_session("s2")), **parts)
            )
            with pytest.raises(StaleWriter):
                transaction.delete_session(S1, fence + 1)
        with store.transaction() as transaction:
            transaction.delete_session(S1, fence)
            with pytest.raises(StaleWriter):
                transaction.delete_session(S1, fence)
        assert store.contents(S1) is None
        assert store.evaluations(S1, 0, 10) == []
        assert store.remembered(S1, "one") is None
        assert store.context(S1, 1) is None
        assert store.events(S1, 0, 10) == []
        other = store.contents(a_session("s2"))
        assert other is not None
        assert other.evaluations == [an_evaluation()]
        assert other.contexts == [a_context(1), a_context(2)]
        assert store.events(a_session("s2"), 0, 10) == [an_event(1)]
        assert store.remembered(a_session("s2"), "one") is not None

    def test_a_session_created_again_refuses_the_writers_of_its_first_life(
        self, store: Store
    ) -> None:
        with store.transaction() as transaction:
            first = transaction.create_session(a_change())
        with store.transaction() as transaction:
            transaction.delete_session(S1, first)
        with store.transaction() as transaction:
            assert transaction.create_session(a_change()) > first
        with store.transaction() as transaction, pytest.raises(StaleWriter):
            transaction.apply(a_commit(first, 2))

    @pytest.mark.parametrize("follows", [1, 3, 8, 2**53])
    def test_a_session_that_comes_back_goes_on_above_all_numbers_of_its_lives(
        self, store: Store, follows: int
    ) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change())
            for number in range(2, 9):
                transaction.apply(a_commit(fence, number))
        last = 8
        for _ in range(3):
            with store.transaction() as transaction:
                transaction.delete_session(S1, fence)
                change = a_change(follows=follows, sections={"session_state": text(1)})
                fence = transaction.create_session(change)
            contents = store.contents(S1)
            assert contents is not None
            assert last < contents.number < 2**53
            last = contents.number + 1
            with store.transaction() as transaction:
                transaction.apply(a_commit(fence, last))
        with store.transaction() as transaction:
            assert transaction.open_session(S1).number == last

    def test_a_session_goes_on_above_the_number_that_it_comes_back_with(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change(follows=2**40))
        contents = store.contents(S1)
        assert contents is not None
        assert contents.number > 2**40

    def test_a_touch_moves_used_at_forward_and_spends_no_number(self, store: Store) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(used_at=10.0))
            transaction.touch(S1, 20.0)
            transaction.touch(a_session("nobody"), 20.0)
        assert store.head(S1) == a_head(used_at=20.0)
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 2, used_at=15.0))
        assert store.head(S1) == a_head(used_at=20.0)
        with store.transaction() as transaction:
            assert transaction.open_session(S1).head.used_at == 20.0
            transaction.touch(S1, 5.0)
        assert store.head(S1) == a_head(used_at=20.0)
        assert [head.used_at for head in store.heads_of_client(ClientId("client"))] == [20.0]

    def test_a_client_has_its_own_sessions_in_every_state_oldest_first(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change("c", client="ann", created_at=3.0))
            transaction.create_session(a_change("b", client="ann", created_at=1.0))
            transaction.create_session(a_change("x", client="bob", created_at=1.5))
            transaction.create_session(
                a_change("a", client="ann", created_at=2.0, state="trashed", ended_at=1.0)
            )
        found = [head.session_id for head in store.heads_of_client(ClientId("ann"))]
        assert found == [a_session("b"), a_session("a"), a_session("c")]

    def test_ended_sessions_are_found_by_when_they_ended(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change("a", state="closed", ended_at=3.0))
            transaction.create_session(a_change("b", state="trashed", ended_at=2.0))
            transaction.create_session(a_change("c", state="closed", ended_at=4.0))
            transaction.create_session(a_change("d", ended_at=1.0))
        found = [head.session_id for head in store.heads_ended_before(4.0, 10)]
        assert found == [a_session("b"), a_session("a")]
        assert len(store.heads_ended_before(4.0, 1)) == 1

    def test_open_sessions_are_found_by_when_they_expired(self, store: Store) -> None:
        ended: dict[str, Any] = {"state": "closed", "ended_at": 2.0}
        with store.transaction() as transaction:
            transaction.create_session(a_change("a", used_at=3.0, timeout=1.0))
            transaction.create_session(a_change("b", used_at=1.0, timeout=1.0))
            transaction.create_session(a_change("c", used_at=2.0, timeout=1.0, **ended))
            transaction.create_session(a_change("d", used_at=2.0, timeout=1.0))
            transaction.create_session(a_change("e", used_at=0.0, timeout=9.0))
            transaction.touch(a_session("d"), 9.0)
        found = [head.session_id for head in store.heads_expired_before(5.0, 10)]
        assert found == [a_session("b"), a_session("a")]
        assert len(store.heads_expired_before(5.0, 1)) == 1

    def test_a_client_s_open_sessions_are_found_without_the_others(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change("a"))
            transaction.create_session(a_change("b", state="closed", ended_at=2.0))
        client = store.heads_of_client(a_change("a").head.client_id)
        open_only = store.heads_of_client(a_change("a").head.client_id, open_only=True)
        assert [head.session_id for head in open_only] == [a_session("a")]
        assert len(client) == 2

    def test_sessions_are_counted_by_what_they_are_now(self, store: Store) -> None:
        image = ImageId("i")
        sessions: dict[str, dict[str, Any]] = {
            "a": {"client": "ann", "image_id": image},
            "b": {"client": "ann"},
            "c": {"client": "bob", "image_id": image, "timeout": 10.0},
            "d": {"client": "cid", "image_id": image, "state": "closed", "ended_at": 1.0},
            "e": {"client": "dee", "state": "trashed", "ended_at": 1.0},
        }
        with store.transaction() as transaction:
            for name, fields in sessions.items():
                transaction.create_session(a_change(name, **fields))
        counts = store.counts(9.0)
        assert (counts.total, counts.clients, counts.closed, counts.expired) == (3, 2, 1, 0)
        assert (counts.by_image, counts.expired_by_image) == ({image: 2}, {})
        counts = store.counts(10.0)
        assert (counts.total, counts.clients, counts.closed, counts.expired) == (2, 1, 1, 1)
        assert (counts.by_image, counts.expired_by_image) == ({image: 1}, {image: 1})
        assert counts.trashed == 1
        assert store.session_count_of_image(image) == 2
        assert store.session_count_of_image(ImageId("other")) == 0

    def test_the_history_is_read_in_pieces(self, store: Store) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change())
            for number in range(1, 6):
                evaluation = an_evaluation(number, "finished", result=str(number))
                transaction.apply(a_commit(fence, number + 1, evaluation=evaluation))
        found = store.evaluations(S1, 2, 2)
        assert [(each.number, each.result) for each in found] == [(3, "3"), (4, "4")]
        assert [each.number for each in store.evaluations(S1, 0, 100)] == [1, 2, 3, 4, 5]

    def test_a_session_created_with_a_history_has_it_and_goes_on_from_it(
        self, store: Store
    ) -> None:
        history = [an_evaluation(number, "finished") for number in (3, 4, 5)]
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(history=history, evaluations=5))
            assert transaction.open_session(S1).running is None
            transaction.create_session(a_change("s2", history=[*history, an_evaluation(6)]))
            assert transaction.open_session(a_session("s2")).running == an_evaluation(6)
        assert store.evaluations(S1, 0, 10) == history
        with store.transaction() as transaction:
            later = a_commit(fence + 2, 2, evaluation=an_evaluation(6, "finished"))
            with pytest.raises(StaleWriter):
                transaction.apply(later)
            number = transaction.open_session(S1).fence
            transaction.apply(Commit(S1, number, 2, later.change))
        assert [each.number for each in store.evaluations(S1, 0, 10)] == [3, 4, 5, 6]

    def test_contexts_are_kept_replaced_and_dropped_by_their_numbers(self, store: Store) -> None:
        first, second = a_context(1, label="one"), a_context(2, snapshot="graph " * 5000)
        automatic = a_context(-1, "automatic")
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(contexts=[first]))
            transaction.apply(a_commit(fence, 2, contexts=[second, automatic]))
        assert store.contexts(S1) == [
            StoredContext(each.head.number, each.head) for each in (automatic, first, second)
        ]
        assert store.context(S1, 2) == second
        assert store.context(S1, 3) is None
        contents = store.contents(S1)
        assert contents is not None
        assert contents.contexts == [automatic, first, second]
        replaced = a_context(1, label="another")
        with store.transaction() as transaction:
            transaction.apply(
                a_commit(fence, 3, contexts=[replaced], dropped_contexts=[1, 2, 2, 99])
            )
        assert store.context(S1, 1) == replaced
        assert store.context(S1, 2) is None
        assert [each.number for each in store.contexts(S1)] == [-1, 1]
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 4, revision=4))
            transaction.apply(a_commit(fence, 5, contexts=[second]))
        assert [each.number for each in store.contexts(S1)] == [-1, 1, 2]
        heads = [each.head for each in store.contexts(S1)]
        assert store.context_heads(S1) == heads

    def test_a_context_comes_back_with_all_that_is_known_of_it(self, store: Store) -> None:
        context = a_context(7, "before_load", evaluation=3, dialect="python", digest="d")
        with store.transaction() as transaction:
            transaction.create_session(a_change(contexts=[context]))
        assert store.context(S1, 7) == context
        assert isinstance(store.contexts(S1)[0].head, ContextHead)
        assert bytes(context.data.sections["inspector_state"]) == b'{"path": [1]}'

    def test_events_are_read_from_where_the_reader_was_and_only_so_many_are_kept(
        self, store: Store
    ) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(events=[an_event(1), an_event(4)]))
            transaction.apply(a_commit(fence, 2, events=[an_event(5), an_event(9)]))
            transaction.create_session(a_change("s2", events=[an_event(2, "session.opened")]))
        assert [each.seq for each in store.events(S1, 0, 10)] == [1, 4, 5, 9]
        assert store.events(S1, 1, 2) == [an_event(4), an_event(5)]
        assert store.events(S1, 9, 10) == []
        assert store.first_event(S1) == 1
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 3, events=[an_event(12)], keep_events=2))
        assert store.events(S1, 0, 10) == [an_event(9), an_event(12)]
        assert store.first_event(S1) == 9
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 4, keep_events=2))
            transaction.apply(a_commit(fence, 5, keep_events=3))
        assert store.first_event(S1) == 9
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 6, keep_events=0))
        assert store.first_event(S1) is None
        assert store.events(a_session("s2"), 0, 10) == [an_event(2, "session.opened")]

    def test_only_so_many_evaluations_are_kept_and_all_from_the_one_that_runs_on(
        self, store: Store
    ) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(evaluation=an_evaluation(1, "finished")))
            for number in range(2, 6):
                state: EvaluationState = "running" if number == 2 else "finished"
                commit = a_commit(fence, number, evaluation=an_evaluation(number, state))
                transaction.apply(commit)
            transaction.apply(a_commit(fence, 6, keep_evaluations=2))
        assert [each.number for each in store.evaluations(S1, 0, 10)] == [2, 3, 4, 5]
        with store.transaction() as transaction:
            ended = an_evaluation(2, "finished")
            transaction.apply(a_commit(fence, 7, evaluation=ended, keep_evaluations=2))
        assert [each.number for each in store.evaluations(S1, 0, 10)] == [4, 5]
        with store.transaction() as transaction:
            started = an_evaluation(6, "running")
            transaction.apply(a_commit(fence, 8, evaluation=started, keep_evaluations=0))
        assert [each.number for each in store.evaluations(S1, 0, 10)] == [6]
        with store.transaction() as transaction:
            assert transaction.open_session(S1).running == started

    def test_preferences_have_a_revision_that_grows_with_each_change(self, store: Store) -> None:
        ann, bob = ClientId("ann"), ClientId("bob")
        with store.transaction() as transaction:
            assert transaction.put_preferences(ann, text({"theme": "dark"})) == 1
            assert transaction.put_preferences(bob, text({})) == 1
            assert transaction.put_preferences(ann, text({"theme": "light"})) == 2
        assert store.preferences(ann) == Preferences(text({"theme": "light"}), 2)
        assert store.preferences(bob) == Preferences(text({}), 1)

    def test_sessions_are_found_by_their_image_in_every_state_and_by_having_one(
        self, store: Store
    ) -> None:
        one, other = ImageId("i1"), ImageId("i2")
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change("a", image_id=one, created_at=3.0))
            transaction.create_session(
                a_change("b", image_id=one, created_at=1.0, state="trashed", ended_at=5.0)
            )
            transaction.create_session(a_change("c", image_id=other, created_at=2.0))
            transaction.create_session(a_change("d"))

        def found(image_id: ImageId | None) -> list[SessionId]:
            return [head.session_id for head in store.heads_of_image(image_id)]

        assert found(one) == [a_session("b"), a_session("a")]
        assert found(other) == [a_session("c")]
        assert found(ImageId("i3")) == []
        assert found(None) == [a_session("b"), a_session("c"), a_session("a")]
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 2, "a", image_id=other, created_at=3.0))
        assert found(one) == [a_session("b")]
        assert found(other) == [a_session("c"), a_session("a")]

    def test_the_trash_has_what_was_trashed_until_it_is_taken_out(self, store: Store) -> None:
        trashed: dict[str, Any] = {"state": "trashed", "ended_at": 1.0}
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change("a", created_at=2.0, **trashed))
            transaction.create_session(a_change("b", created_at=1.0, **trashed))
            transaction.create_session(a_change("c", state="closed", ended_at=1.0))
            transaction.create_session(a_change("d"))
        assert [head.session_id for head in store.heads_trashed()] == [
            a_session("b"),
            a_session("a"),
        ]
        assert store.counts(0).trashed == 2
        with store.transaction() as transaction:
            transaction.apply(a_commit(fence, 2, "a", state="closed", ended_at=1.0))
        assert [head.session_id for head in store.heads_trashed()] == [a_session("b")]
        assert store.counts(0).trashed == 1

    def test_a_reply_is_remembered_until_it_is_pruned(self, store: Store) -> None:
        old, new = a_reply("old", 1.0), a_reply("new", 2.0, scope="client:ann")
        alone = a_reply("alone", 1.5, scope="elsewhere")
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change(reply=old))
            transaction.apply(a_commit(fence, 2, reply=new))
            transaction.remember(alone)
        assert store.remembered("session_s1", "old") == old
        assert store.remembered("elsewhere", "alone") == alone
        assert store.remembered("client:ann", "new") == new
        assert store.remembered("session_s1", "new") is None
        with store.transaction() as transaction:
            assert transaction.prune_replies(2.0) == 2
        assert store.remembered("session_s1", "old") is None
        assert store.remembered("client:ann", "new") == new

    def test_images_and_the_running_time_are_kept(self, store: Store) -> None:
        first = ImageRecord(image_id=ImageId("a"), address="tcp://a:1", name="one")
        second = ImageRecord(image_id=ImageId("b"), address="tcp://b:1", name="two")
        moved = ImageRecord(image_id=ImageId("a"), address="tcp://c:1", name="one")
        with store.transaction() as transaction:
            transaction.put_image(first)
            transaction.put_image(second)
            transaction.set_running_time(12.5)
        assert store.images() == [first, second]
        with store.transaction() as transaction:
            transaction.put_image(moved)
            transaction.remove_image(ImageId("b"))
            transaction.set_running_time(13.5)
        assert store.images() == [moved]
        assert store.running_time() == 13.5

    def test_a_session_is_unfiled_from_its_first_change_until_it_is_filed(
        self, store: Store, clock: Clock
    ) -> None:
        with store.transaction() as transaction:
            fence = transaction.create_session(a_change())
        clock.now = 110.0
        with store.transaction() as transaction:
            transaction.create_session(a_change("s2"))
            transaction.apply(a_commit(fence, 2, name="s1"))
        assert list(store.unfiled(100.0, 10)) == []
        assert list(store.unfiled(101.0, 10)) == [S1]
        assert list(store.unfiled(111.0, 10)) == [S1, a_session("s2")]
        assert list(store.unfiled(111.0, 1)) == [S1]
        clock.now = 120.0
        with store.transaction() as transaction:
            transaction.mark_filed(S1, 1)
            transaction.mark_filed(a_session("s2"), 1)
            transaction.mark_filed(a_session("nobody"), 1)
        assert list(store.unfiled(120.0, 10)) == []
        assert list(store.unfiled(121.0, 10)) == [S1]
        with store.transaction() as transaction:
            transaction.mark_filed(S1, 2)
        assert list(store.unfiled(1000.0, 10)) == []

    def test_every_thread_may_read(self, store: Store) -> None:
        with store.transaction() as transaction:
            transaction.create_session(a_change())
        seen: list[object] = []
        threads = [Thread(target=lambda: seen.append(store.head(S1))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert seen == [a_head()] * 4


class DurableStoreContract(StoreContract):
    """Tests of a store that keeps things when it is closed."""

    def test_everything_is_there_after_closing_and_opening(
        self, store: Store, tmp_path: Path, clock: Clock
    ) -> None:
        image = ImageRecord(image_id=ImageId("a"), address="tcp://a:1", name="one")
        with store.transaction() as transaction:
            fence = transaction.create_session(
                a_change(sections={"knowledge": text(1)}, reply=a_reply())
            )
            transaction.apply(a_commit(fence, 2, evaluation=an_evaluation(), evaluations=1))
            transaction.apply(a_commit(fence, 3, contexts=[a_context()], events=[an_event(7)]))
            transaction.put_image(image)
            transaction.put_preferences(ClientId("client"), text({"a": 1}))
            transaction.set_running_time(7.0)
        before = store.contents(S1)
        store.close()
        store = self.open(tmp_path, clock)
        try:
            assert store.contents(S1) == before
            assert store.images() == [image]
            assert store.context(S1, 1) == a_context()
            assert store.events(S1, 0, 10) == [an_event(7)]
            assert store.preferences(ClientId("client")) == Preferences(text({"a": 1}), 1)
            assert store.running_time() == 7.0
            assert store.remembered("session_s1", "one") == a_reply()
            with store.transaction() as transaction:
                transaction.apply(Commit(S1, fence, 4, a_change(revision=3)))
        finally:
            store.close()

    def test_a_closed_store_refuses_everything_and_can_be_closed_again(self, store: Store) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreError):
            store.head(SessionId("x"))
        with pytest.raises(StoreError), store.transaction():
            pytest.fail("the block of a transaction ran on a closed store")
