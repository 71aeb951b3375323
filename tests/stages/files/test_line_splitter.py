"""Bytes become the lines that are in them, however they come."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.stages.files.line_splitter import BOM, LineSplitter, NoText, SplitLine

PIECES = st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"a\nb", b"\r\n", "é\n".encode(), b"\xff\n"]))


def lines_of(*pieces: bytes, max_bytes: int = 1000) -> list[SplitLine]:
    splitter = LineSplitter(max_bytes)
    return [line for piece in pieces for line in splitter.split(piece)] + splitter.end()


def expected(data: bytes, max_bytes: int) -> list[bytes | None]:
    """Say what lines there are in the plainest way; None where one is no text or too long."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line if len(line) <= max_bytes and is_text(line) else None for line in lines]


def is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(PIECES, st.integers(1, 8))
def test_lines_do_not_depend_on_the_pieces_in_which_they_come(pieces: list[bytes], max_bytes: int) -> None:
    assume(not b"".join(pieces).startswith(BOM))
    found = [line.encode() if isinstance(line, str) else None for line in lines_of(*pieces, max_bytes=max_bytes)]
    assert found == expected(b"".join(pieces), max_bytes)


@given(PIECES)
def test_no_more_of_a_line_is_held_than_allowed(pieces: list[bytes]) -> None:
    splitter = LineSplitter(4)
    for piece in pieces:
        splitter.split(piece)
        assert sum(map(len, splitter._parts)) <= 4


@pytest.mark.parametrize("cut", range(8))
def test_the_mark_of_an_editor_is_no_part_of_the_first_line(cut: int) -> None:
    data = BOM + b"a\n" + BOM + b"b"
    assert lines_of(data[:cut], data[cut:]) == ["a", "\ufeffb"]


def test_a_file_of_nothing_but_the_mark_has_no_line() -> None:
    assert lines_of(BOM) == []


def test_a_second_file_begins_with_a_line_of_its_own() -> None:
    splitter = LineSplitter(100)
    assert splitter.split(BOM + b"one\ntw") == ["one"]
    assert splitter.end() == ["tw"]
    assert splitter.split(BOM + b"three\n") == ["three"]


def test_a_line_that_is_no_text_says_why() -> None:
    assert lines_of(b"ab\xff\n" + b"x" * 9 + b"\n", max_bytes=8) == [
        NoText("the line is not UTF-8 (byte 3: 0xff)"),
        NoText("the line is longer than 8B (max_line_bytes)"),
    ]


@pytest.mark.parametrize(("data", "has_rest"), [(b"", False), (b"a", True), (b"a\n", False), (b"a\nb", True)])
def test_a_line_that_has_begun_and_not_ended_is_known(data: bytes, *, has_rest: bool) -> None:
    splitter = LineSplitter(100)
    splitter.split(data)
    assert splitter.has_rest is has_rest
