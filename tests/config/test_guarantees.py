"""What a path guarantees is told for each source and sink, with why."""

from headrace.config.files import load_text
from headrace.config.guarantees import guarantees

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
    assert found["lines", "kept"].why == "a read_lines stage cannot take an event back"
    assert str(found["work", "kept"]) == (
        "work -> kept: at-least-once, because work hears what became of each event, and takes back what failed"
    )
    assert found["work", "shown"].why.startswith("of summed: ")
