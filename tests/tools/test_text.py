"""Tables and other text for people."""

from __future__ import annotations

import pytest

from tools.cli.text import duration, harmless, one_line, record, shortened, size, table


def test_a_table_has_aligned_columns_and_no_trailing_blanks() -> None:
    text = table(("NAME", "COUNT"), [("a", 5), ("longer", 12)])

    assert text.splitlines() == ["NAME    COUNT", "a           5", "longer     12"]


def test_a_table_that_is_too_wide_has_its_widest_columns_cut() -> None:
    lines = table(("A", "B"), [("x" * 50, "y" * 10)], width=30).splitlines()

    assert lines[1] == "x" * 17 + "…" + "  " + "y" * 10
    assert max(map(len, lines)) == 30


def test_a_table_is_not_cut_beyond_recognition() -> None:
    assert table(("A",), [("x" * 50,)], width=3).splitlines()[1] == "xxxxxxx…"


def test_nothing_shown_can_steer_the_terminal() -> None:
    assert harmless("a\x1b[2Jb\tc\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\tc\n"
    assert "\x1b" not in table(("A",), [("\x1b]0;title\x07",)])
    assert one_line("a\n  b\x9b") == "a b\N{REPLACEMENT CHARACTER}"


def test_empty_fields_are_left_out_of_a_record() -> None:
    assert record({"name": "", "count": 0, "id": "x"}).splitlines() == ["count  0", "id     x"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (5_600_000_000, "5.6 GB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text


def test_what_is_shortened_says_so() -> None:
    assert [shortened("abc", width) for width in (3, 2, 1)] == ["abc", "a…", "…"]
