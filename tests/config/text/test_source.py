"""Texts, their lines, and how files are read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.text.findings import MAX_BYTES, ConfigError, ConfigSource, Problem, TextSpan, read


@given(st.text(st.sampled_from("ab\n\r\u2028é")), st.integers(0, 30))
def test_a_place_counts_lines_and_columns_from_one(text: str, offset: int) -> None:
    offset = min(offset, len(text))
    line, column = ConfigSource("a", text).location(TextSpan(offset, offset))
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    if not (text[offset - 1 : offset] == "\r" and text[offset : offset + 1] == "\n"):
        assert (line, column) == (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def test_a_place_behind_the_end_is_the_end() -> None:
    found = ConfigSource("a", "ab\n").finding(TextSpan(99, 120), Problem("syntax", "x"))
    assert (found.line, found.column, found.width) == (2, 1, 1)


def test_what_is_written_is_shown_in_one_short_line() -> None:
    source = ConfigSource("a", "one\n   two " + "x" * 200)
    assert source.written(TextSpan(0, 10)) == "one two"
    assert len(source.written(TextSpan(0, 200))) == 60


def failure(path: Path) -> tuple[str, int, int, str]:
    with pytest.raises(ConfigError) as caught:
        read(path)
    (found,) = caught.value.findings
    assert found.file == str(path)
    return found.code, found.line, found.column, found.message


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    code, line, column, message = failure(tmp_path / "no.yaml")
    assert (code, line, column) == ("missing-file", 1, 1)
    assert "no such file" in message


def test_a_folder_is_a_finding(tmp_path: Path) -> None:
    assert failure(tmp_path)[0] == "missing-file"
    assert "folder" in failure(tmp_path)[3]


def test_a_file_below_a_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert failure(tmp_path / "a" / "b")[0] == "unreadable-file"


def test_a_path_that_cannot_be_is_a_finding(tmp_path: Path) -> None:
    assert failure(tmp_path / "a\0b")[0] == "unreadable-file"


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be somebody who may not read everything, if this is root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_that_may_not_be_read_is_a_finding(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("x")
    path.chmod(0)
    request.getfixturevalue("nobody")
    assert failure(path)[0] == "unreadable-file"


def test_a_file_that_is_not_utf_8_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"name: caf\xe9")
    code, _, _, message = failure(path)
    assert code == "unreadable-file"
    assert "byte 9" in message


def test_a_file_too_large_for_a_config_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "4 MiB" in failure(path)[3]


def test_an_endless_device_is_not_read_to_its_end() -> None:
    assert failure(Path("/dev/zero"))[0] == "unreadable-file"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x")
    assert read(path).text == "name: x"
