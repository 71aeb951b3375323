"""Packets of StatsD clients are understood, and nothing else gets through or raises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.statsd import BadSample, StatsdSample, parse_packet

NAMES = st.text(st.characters(exclude_characters="\n\r:", exclude_categories=["Cs"]), min_size=1).filter(str.strip)
WORDS = st.text(st.characters(exclude_characters="\n\r:|,#", exclude_categories=["Cs"]))
NUMBERS = st.floats(-1e300, 1e300) | st.integers(-(10**9), 10**9).map(float)
RATES = st.just(1.0) | st.floats(1e-6, 1, exclude_min=True)
TAGS = st.dictionaries(WORDS.filter(bool), WORDS)
NUMERIC = st.builds(
    StatsdSample,
    name=NAMES,
    type=st.sampled_from(["ms", "h", "d"]),
    value=NUMBERS,
    rate=RATES,
    tags=TAGS,
    is_relative=st.just(False),
)
SETS = st.builds(
    StatsdSample, name=NAMES, type=st.just("s"), value=WORDS, rate=RATES, tags=TAGS, is_relative=st.just(False)
)
FRAGMENTS = st.sampled_from(
    [
        b"a:1|c",
        b"\n",
        b"|",
        b":",
        b"@",
        b"#",
        b"a:",
        b"1",
        b"|c",
        b"|@0",
        b"|@0.1",
        b"|#a:b,c",
        b"\xff",
        b"+",
        b"1e999",
        b"_e{1,1}:a|b",
    ]
)


def written(sample: StatsdSample) -> str:
    """Write a sample as a client would."""
    tags = ",".join(f"{key}:{value}" for key, value in sample.tags.items())
    rate = f"|@{sample.rate!r}" if sample.rate != 1 else ""
    return f"{sample.name}:{sample.value}|{sample.type}{rate}{f'|#{tags}' if tags else ''}"


@given(st.lists(NUMERIC | SETS))
def test_what_a_client_writes_is_read(samples: list[StatsdSample]) -> None:
    assert parse_packet("\n".join(map(written, samples)).encode()) == samples


@given(st.binary() | st.lists(FRAGMENTS).map(b"".join))
def test_no_bytes_raise_and_no_line_is_forgotten(packet: bytes) -> None:
    found = parse_packet(packet)
    assert len(found) >= len([line for line in packet.splitlines() if line.strip()])
    for sample in found:
        if isinstance(sample, StatsdSample) and not isinstance(sample.value, str):
            assert math.isfinite(sample.value)


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("hits:1|c", StatsdSample("hits", "c", 1.0)),
        ("hits:-2|c", StatsdSample("hits", "c", -2.0)),
        ("hits:3|c|@0.1", StatsdSample("hits", "c", 3.0 / 0.1, 0.1)),
        ("heat:21.5|g", StatsdSample("heat", "g", 21.5)),
        ("heat:+1|g", StatsdSample("heat", "g", 1.0, is_relative=True)),
        ("heat:-1|g", StatsdSample("heat", "g", -1.0, is_relative=True)),
        ("time:320|ms|@0.5", StatsdSample("time", "ms", 320.0, 0.5)),
        ("size:1e3|h", StatsdSample("size", "h", 1000.0)),
        ("size:.5|d", StatsdSample("size", "d", 0.5)),
        ("users:a:b|s", StatsdSample("users", "s", "a:b")),
        ("a.b-c/d e:1|c|#x:1,y,z:p:q,", StatsdSample("a.b-c/d e", "c", 1.0, tags={"x": "1", "y": "", "z": "p:q"})),
        ("hits:1|c|#a:b|@0.5", StatsdSample("hits", "c", 2.0, 0.5, {"a": "b"})),
        ("hits:1|c|#a:b|c:83c0a99c|T1656581400", StatsdSample("hits", "c", 1.0, tags={"a": "b"})),
        ("hits:1|c\r", StatsdSample("hits", "c", 1.0)),
    ],
)
def test_each_form_of_a_line_is_understood(line: str, sample: StatsdSample) -> None:
    assert parse_packet(line.encode()) == [sample]


def test_several_metrics_and_several_values_share_a_packet() -> None:
    assert parse_packet(b"a:1|c\n\nb:2:3|ms|@0.5\n") == [
        StatsdSample("a", "c", 1.0),
        StatsdSample("b", "ms", 2.0, 0.5),
        StatsdSample("b", "ms", 3.0, 0.5),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense", "not written name:value|type"),
        (b":1|c", "not written name:value|type"),
        (b"a:1", "not of a known type"),
        (b"a:1|x", "not of a known type (c, d, g, h, ms, s)"),
        (b"a:|c", "not a number"),
        (b"a:one|c", "not a number"),
        (b"a:1_000|c", "not a number"),
        (b"a:nan|g", "not a number"),
        (b"a:inf|g", "not a number"),
        ("a:\u0661|c".encode(), "not a number"),
        (b"a: 1|c", "not a number"),
        (b"a:1e999|c", "too large"),
        (b"a:1e300|c|@1e-300", "too large"),
        (b"a:1|c|@0", "above 0 and at most 1"),
        (b"a:1|c|@2", "above 0 and at most 1"),
        (b"a:1|c|@", "not a number"),
        (b"\xff:1|c", "not UTF-8"),
        (b"_e{5,4}:title|text", "not of a known type"),
        (b"_sc|check|0", "not written name:value|type"),
    ],
)
def test_a_line_that_is_no_metric_says_why_and_spoils_no_other(line: bytes, why: str) -> None:
    first, bad, last = parse_packet(b"a:1|c\n" + line + b"\nb:1|c")
    assert (first, last) == (StatsdSample("a", "c", 1.0), StatsdSample("b", "c", 1.0))
    assert isinstance(bad, BadSample)
    assert bad.line == line
    assert why in bad.why
