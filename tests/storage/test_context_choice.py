from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.context_choice import surplus
from storage.document import ContextHead
from tests.storage.samples import a_context

KINDS = st.sampled_from(["automatic", "saved", "saved", "before_load", "before_clear"])
ages = st.integers(0, 20).map(float)
head_lists = st.lists(
    st.builds(
        lambda kind, label, since, size: (
            a_context(1, kind, label=label, kept_since=since, data_bytes=size).head
        ),
        KINDS,
        st.sampled_from(["", "name"]),
        ages,
        st.integers(0, 50),
    ),
    max_size=12,
).map(
    lambda found: [
        a_context(
            number,
            head.kind,
            label=head.label,
            kept_since=head.kept_since,
            data_bytes=head.data_bytes,
        ).head
        for number, head in enumerate(found, start=1)
    ]
)
sizes = st.integers(0, 200)
mosts = st.integers(0, 8)


def a_head(number: int, kind: str, since: float, label: str = "", size: int = 1) -> ContextHead:
    return a_context(number, kind, label=label, kept_since=since, data_bytes=size).head  # type: ignore[arg-type] # a literal in each call


def worth(head: ContextHead) -> int:
    return 0 if head.kind != "saved" else 2 if head.label else 1


@given(head_lists, mosts, ages, sizes)
def test_what_stays_is_within_every_bound_and_what_goes_had_to(
    heads: list[ContextHead], most: int, before: float, most_bytes: int
) -> None:
    dropped = surplus(heads, most, before, most_bytes)
    by_number = {head.number: head for head in heads if head.kind != "automatic"}
    assert len(set(dropped)) == len(dropped)
    assert set(dropped) <= set(by_number)
    kept = [head for number, head in by_number.items() if number not in dropped]
    assert all(head.kept_since >= before for head in kept)
    assert len(kept) <= most
    held = sum(head.data_bytes for head in kept)
    assert held <= most_bytes or len(kept) == 1
    young = [by_number[number] for number in dropped if by_number[number].kept_since >= before]
    if young:  # the last one to go was one too many, or too much
        last = young[-1]
        assert len(kept) + 1 > most or held + last.data_bytes > most_bytes


@given(head_lists, mosts, sizes)
def test_one_goes_only_after_those_that_are_worth_less_or_as_much_and_older(
    heads: list[ContextHead], most: int, most_bytes: int
) -> None:
    dropped = surplus(heads, most, 0.0, most_bytes)
    by_number = {head.number: head for head in heads if head.kind != "automatic"}
    newest = max(by_number.values(), key=lambda head: head.number, default=None)
    order = [(worth(by_number[each]), each) for each in dropped]
    assert order == sorted(order)
    for head in by_number.values():
        if head.number not in dropped and head is not newest:
            assert all(each < (worth(head), head.number) for each in order)


@given(head_lists, st.integers(1, 8), sizes)
def test_the_newest_one_stays(heads: list[ContextHead], most: int, most_bytes: int) -> None:
    counted = [head for head in heads if head.kind != "automatic"]
    if counted:
        newest = max(counted, key=lambda head: head.number)
        assert newest.number not in surplus(heads, most, 0.0, most_bytes)


def test_those_made_before_something_else_go_first_and_labelled_ones_last() -> None:
    heads = [
        a_head(1, "saved", 1.0, "release"),
        a_head(2, "saved", 2.0),
        a_head(3, "before_load", 3.0),
        a_head(4, "before_clear", 4.0),
        a_head(5, "saved", 5.0),
        a_head(6, "before_switch", 6.0),
        a_head(0, "automatic", 0.0),
    ]
    assert surplus(heads, 6, 0.0) == []
    assert surplus(heads, 4, 0.0) == [3, 4]
    assert surplus(heads, 1, 0.0) == [3, 4, 2, 5, 1]
    assert surplus(heads, 0, 0.0) == [3, 4, 6, 2, 5, 1]


def test_the_newest_is_the_newest_though_running_time_fell_back_in_a_crash() -> None:
    heads = [
        a_head(1, "saved", 7.0, "first"),
        a_head(2, "saved", 8.0, "second"),
        a_head(3, "before_load", 5.0),
    ]
    assert surplus(heads, 2, 0.0) == [1]
    assert surplus(heads, 1, 0.0) == [1, 2]


def test_age_spares_no_kind_but_the_automatic_one() -> None:
    heads = [
        a_head(1, "saved", 1.0, "release"),
        a_head(2, "before_load", 2.0),
        a_head(3, "saved", 5.0),
        a_head(-1, "automatic", 0.0),
    ]
    assert surplus(heads, 10, 5.0) == [1, 2]
    assert surplus(heads, 10, 6.0) == [1, 2, 3]


def test_too_much_data_is_dropped_until_the_rest_fits() -> None:
    heads = [
        a_head(1, "saved", 1.0, "small", size=10),
        a_head(2, "saved", 2.0, size=60),
        a_head(3, "saved", 3.0, size=500),
    ]
    assert surplus(heads, 10, 0.0, most_bytes=570) == []
    assert surplus(heads, 10, 0.0, most_bytes=569) == [2]
    assert surplus(heads, 10, 0.0, most_bytes=5) == [2, 1]
