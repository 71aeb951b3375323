"""The names of the stages of a run, made ones among them."""

from headrace.config.check.stage_names import stage_names
from headrace.config.files import load_text

CONFIG = """
listen: off
stages:
  hits: {type: generate, count: 1, buffer: {kind: sqlite, path: hits.db}}
  split: {type: map, subscribe_to: hits, set: {n: event}, concurrency: 2, partition_by: event}
  end: {type: discard, subscribe_to: [split, {stage: split, output: errors}]}
"""


def test_stages_that_keys_make_are_among_those_that_run() -> None:
    made = {"hits.kept", "hits.buffer", "split.1", "split.2", "split.1.errors", "split.2.errors"}
    assert stage_names(load_text(CONFIG, environ={}).stages) == {"hits", "end"} | made
