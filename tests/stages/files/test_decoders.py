"""Lines become events, or are refused alone with a sentence."""

import csv
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.files.decoders import (
    MAX_VALUES,
    CsvDecoder,
    Decoded,
    JsonDecoder,
    LineDecoder,
    Refused,
    TextDecoder,
)
from headrace.stages.files.line_splitter import NoText, SplitLine

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.text(alphabet='ab,"\n\r x', max_size=5)
ODD = [
    '{"a": 1}',
    "[1",
    "2]",
    '"x',
    '{"a":[{"b":1}',
    '{"c":2}]}',
    "1,2",
    "a,b",
    'a,"b',
    'b",c',
    '"',
    "",
    " ",
    "NaN",
    "\r",
]
LINES = st.text().map(lambda text: text.replace("\n", " ")) | st.sampled_from(ODD)
DECODERS: list[Callable[[], LineDecoder]] = [TextDecoder, JsonDecoder, lambda: CsvDecoder(1000)]


def decode(decoder: LineDecoder, *batches: list[SplitLine]) -> Decoded:
    """Decode batches as one file's."""
    whole, number = Decoded(), 1
    for batch in batches:
        whole.add(decoder.decode(batch, number))
        number += len(batch)
    whole.add(decoder.end())
    return whole


def test_a_line_of_text_is_an_event_as_it_is() -> None:
    assert decode(TextDecoder(), ["a", "", " b ", "c\r", "d\re"]) == Decoded(["a", "", " b ", "c", "d\re"])


def test_a_line_that_is_no_text_is_refused_alone() -> None:
    lines: list[SplitLine] = ["1", NoText("it is too long"), "2"]
    for make in (TextDecoder, JsonDecoder):
        decoded = decode(make(), lines)
        assert list(map(str, decoded.events)) == ["1", "2"]
        assert decoded.refused == [Refused(2, "it is too long", 1)]


@given(st.lists(VALUES))
def test_json_lines_hold_the_values_that_were_written(values: list[object]) -> None:
    lines: list[SplitLine] = [json.dumps(value) for value in values]
    assert decode(JsonDecoder(), lines) == Decoded(values)


@given(st.lists(LINES))
def test_json_lines_are_each_judged_by_themselves(lines: list[SplitLine]) -> None:
    together, alone = decode(JsonDecoder(), lines), decode(JsonDecoder(), *([line] for line in lines))
    assert together == alone


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        (["[1", "2]", "3,4"], []),
        (['{"a":[{"b":1}', '{"c":2}]}', "{},{}"], []),
        (['"a', 'b"', '"c","d"'], []),
        (["1", " 2 ", "\t3\r"], [1, 2, 3]),
        (["", " ", "\r", "4"], [4]),
    ],
)
def test_lines_that_fit_together_are_no_json_unless_each_is(lines: list[SplitLine], events: list[object]) -> None:
    decoded = decode(JsonDecoder(), lines)
    assert decoded.events == events
    assert len(decoded.refused) == (0 if events else len(lines))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a": }', "the line is not JSON (Expecting value, column 7)"),
        ("[" * 100_000, "the line is not JSON that can be read"),
        ("NaN", "JSON has no NaN"),
        ("9" * 5000, "the line is not JSON that can be read"),
        ("\ufeff1", "the line is not JSON"),
    ],
)
def test_a_line_that_is_not_json_says_why(line: str, why: str) -> None:
    (refused,) = decode(JsonDecoder(), ["1", line]).refused
    assert refused.number == 2
    assert why in refused.why


def test_a_line_with_too_many_values_is_refused_alone() -> None:
    decoded = JsonDecoder().decode(["1", "[" + "0," * MAX_VALUES + "0]", "2"], 1)
    assert decoded.events == [1, 2]
    assert [(line.number, line.why) for line in decoded.refused] == [
        (2, "the line has more than 250000 values and keys")
    ]


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=6), st.integers(1, 4))
def test_csv_holds_the_records_that_were_written(rows: list[tuple[str, str]], size: int) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("k", "v"), *rows])
    lines = file.getvalue().split("\n")[:-1]
    batches: list[list[SplitLine]] = [list(lines[at : at + size]) for at in range(0, len(lines), size)]
    assert decode(CsvDecoder(1000), *batches) == Decoded([{"k": k, "v": v} for k, v in rows])


def test_csv_without_quotes_is_read_as_csv_with_them() -> None:
    plain: list[SplitLine] = ["a,b", "1,2", "3,4\r", "", ",5"]
    quoted: list[SplitLine] = ['a,"b"', '1,"2"', '3,"4"\r', "", ',"5"']
    events = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "", "b": "5"}]
    assert decode(CsvDecoder(1000), plain) == decode(CsvDecoder(1000), quoted) == Decoded(list[object](events))
    assert decode(CsvDecoder(1000), ["a,b"], ["1,2", "3,4"]).events == events[:2]


@pytest.mark.parametrize(
    ("lines", "numbers", "why"),
    [
        (["a,b", "1", "2,3"], [2], "the line has 1 fields, and the header 2"),
        (["a,b", "1,2", "1,2,3", "2,3"], [3], "the line has 3 fields, and the header 2"),
        (["a,b", '"1"x,2', "2,3"], [2], "the line is not CSV"),
        (["a,b", '1,"2', "3,4"], [2], "a quote opens here and is never closed"),
        (["a,a", "1,2"], [1, 2], "the header in line 1 names the field 'a' twice"),
        (["a,b", "1,2", NoText("it is too long")], [3], "it is too long"),
        (["a,b", '1,"2', NoText("it is too long"), "3,4"], [2, 3], "it is too long"),
        (["a,b", "1," + "x" * 2000 + '"', '"' + "x" * 1200, "3,4"], [3], "is not closed within 1kB (max_line_bytes)"),
    ],
)
def test_a_record_that_is_not_csv_is_refused_alone(lines: list[SplitLine], numbers: list[int], why: str) -> None:
    decoded = decode(CsvDecoder(1000), *([line] for line in lines))
    assert [refused.number for refused in decoded.refused] == numbers
    assert why in decoded.refused[-1].why
    assert decode(CsvDecoder(1000), lines) == decoded
    sound = len([line for line in lines if isinstance(line, str)]) - 1 - len(numbers)
    assert len(decoded.events) >= sound


def test_a_second_file_has_a_header_of_its_own() -> None:
    decoder = CsvDecoder(1000)
    assert decode(decoder, ["a", "1"]).events == [{"a": "1"}]
    assert decode(decoder, ["b", "2"]).events == [{"b": "2"}]


@pytest.mark.parametrize("make", DECODERS)
@given(lines=st.lists(LINES), size=st.integers(1, 5))
def test_no_line_raises_and_none_is_forgotten(make: Callable[[], LineDecoder], lines: list[str], size: int) -> None:
    batches: list[list[SplitLine]] = [list(lines[at : at + size]) for at in range(0, len(lines), size)]
    decoded = decode(make(), *batches)
    numbers = [refused.number for refused in decoded.refused]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= len(lines) for number in numbers)
    assert len(decoded.events) + len(numbers) <= len(lines)
    assert [refused.events_before for refused in decoded.refused] == sorted(
        refused.events_before for refused in decoded.refused
    )
    assert decoded == decode(make(), list(lines))
