"""Stages that keys make take no name, and no file, that another has."""

import pytest

from headrace.config.files import load_text
from headrace.config.text.findings import ConfigError, Finding


def findings(stages: str) -> list[Finding]:
    with pytest.raises(ConfigError) as caught:
        load_text(f"listen: off\nstages:\n{stages}", environ={})
    return list(caught.value.findings)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.kept", "a creates a stage of this name, which writes its buffer"),
        ("a.buffer", "a creates a stage of this name, which reads its buffer"),
        ("b.2", "b creates a stage of this name, one of its copies"),
        ("b.1.errors", "c creates a stage of this name, for the output errors of b"),
        ("d.late", "c creates a stage of this name, for the output late of d"),
    ],
)
def test_a_stage_that_is_called_as_one_that_is_made_is_told(name: str, why: str) -> None:
    (found,) = findings(
        f"""\
  a: {{type: generate, count: 1, buffer: {{kind: sqlite, path: a.db}}}}
  b: {{type: map, subscribe_to: a, set: {{n: event}}, concurrency: 2, partition_by: event}}
  c: {{type: discard, subscribe_to: [b, {{stage: b, output: errors}}, d, {{stage: d, output: late}}]}}
  d: {{type: aggregate, subscribe_to: a, window: {{tumbling: 1s}}, time: event, late: route, values: {{n: count}}}}
  {name}: {{type: discard, subscribe_to: a}}
"""
    )
    assert (found.code, found.line, found.column) == ("duplicate-name", 7, 3)
    assert found.message == f"{why}: give one of the two another name"


def test_two_buffers_in_one_file_are_told() -> None:
    (found,) = findings(
        """\
  a: {type: generate, count: 1, buffer: {kind: sqlite, path: var/a.db}}
  b: {type: generate, count: 1, buffer: {kind: sqlite, path: ./var/../var/a.db}}
  c: {type: discard, subscribe_to: [a, b]}
"""
    )
    assert (found.code, found.line, found.column) == ("bad-value", 4, 62)
    assert found.message.startswith("a has its buffer in the same file")
