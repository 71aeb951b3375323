"""What a path guarantees is told for each source and sink, with why."""

from headrace.config.check.guarantees import guarantees
from headrace.config.files import load_text

CONFIG = """\
listen: off
jobs: {store: "memory:", queues: {}}
stages:
  lines: {type: read_lines, path: lines.jsonl}
  work: {type: take_jobs, queue: mail}
  joined: {type: map, subscribe_to: [lines, work], set: {n: 1}}
  summed: {type: aggregate, subscribe_to: joined, window: {tumbling: 1m}, values: {n: count}}
  kept: {type: discard, subscribe_to: joined}
  shown: {type: discard, subscribe_to: summed}
  alone: {type: discard, subscribe_to: work}
"""


def test_each_source_and_sink_that_are_linked_have_one_with_its_reason() -> None:
    found = {(one.source, one.sink): one for one in guarantees(load_text(CONFIG, environ={}))}
    assert {ends: one.delivery for ends, one in found.items()} == {
        ("lines", "kept"): "at-most-once",
        ("lines", "shown"): "at-most-once",
        ("work", "kept"): "at-least-once",
        ("work", "shown"): "at-most-once",
        ("work", "alone"): "at-least-once",
    }
    assert found["lines", "kept"].why == "a read_lines stage cannot send an event again"
    assert str(found["work", "kept"]) == (
        "work -> kept: at-least-once, because work learns the outcome of each event, and sends failed ones again"
    )
    assert found["work", "shown"].why.startswith("of summed: ")


LATE = """\
listen: off
jobs: {store: "memory:", queues: {}}
stages:
  work: {type: take_jobs, queue: mail}
  summed:
    type: aggregate
    subscribe_to: work
    window: {tumbling: 1m}
    time: event.at
    values: {n: count}
    late: route
  kept: {type: discard, subscribe_to: summed}
  late: {type: map, subscribe_to: {stage: summed, output: late}, set: {n: 1}}
  later: {type: discard, subscribe_to: late}
  bad: {type: discard, subscribe_to: {stage: summed, output: errors}}
  both: {type: discard, subscribe_to: [late, summed]}
"""


def test_what_goes_by_a_side_output_is_not_lost_with_what_its_stage_keeps() -> None:
    found = {one.sink: one for one in guarantees(load_text(LATE, environ={}))}
    assert {sink: one.delivery for sink, one in found.items()} == {
        "kept": "at-most-once",
        "later": "at-least-once",
        "bad": "at-least-once",
        "both": "at-most-once",
    }
    assert found["both"].why.startswith("of summed: ")
