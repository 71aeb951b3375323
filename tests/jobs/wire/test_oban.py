"""Rows and notifications of Oban, with rows that Oban for Elixir 2.23 wrote."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.job import STATES, Job, JobError, TornArgs
from headrace.jobs.wire.oban import (
    COLUMNS,
    LONG_AGO,
    Payload,
    decode_notification,
    encode_notification,
    from_row,
    to_job,
    to_row,
)

ROWS = [json.loads(line) for line in Path(__file__).with_name("oban_elixir_223_rows.jsonl").read_text().splitlines()]

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)
TIMES = st.datetimes(timezones=st.just(UTC))
JOBS = st.builds(
    Job,
    id=st.integers(1, 2**63 - 1),
    state=st.sampled_from(STATES),
    queue=TEXTS,
    worker=TEXTS,
    args=OBJECTS,
    meta=OBJECTS,
    tags=st.lists(TEXTS, max_size=3),
    errors=st.lists(st.builds(JobError, st.integers(0, 20), TIMES, TEXTS), max_size=2),
    attempt=st.integers(0, 20),
    max_attempts=st.integers(1, 20),
    priority=st.integers(0, 9),
    inserted_at=TIMES,
    scheduled_at=TIMES,
    attempted_at=st.none() | TIMES,
    attempted_by=st.just([]) | st.lists(TEXTS, min_size=2, max_size=2),
    cancelled_at=st.none() | TIMES,
    completed_at=st.none() | TIMES,
    discarded_at=st.none() | TIMES,
)


@given(JOBS)
def test_a_job_survives_its_way_through_a_row(job: Job) -> None:
    assert from_row(json.loads(json.dumps(to_row(job)))) == job


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["worker"])
def test_a_row_of_elixir_survives_its_way_through_a_job(row: dict[str, object]) -> None:
    written = to_row(from_row(row))
    assert from_row(written) == from_row(row)
    times = [name for name in COLUMNS if name.endswith("_at")]
    assert {name: written[name] for name in COLUMNS if name not in times} == {
        name: row[name] for name in COLUMNS if name not in times
    }
    for name in times:
        assert str(written[name]).startswith(str(row[name]))


def test_a_failed_row_of_elixir_tells_its_attempt_and_its_node() -> None:
    job = from_row(ROWS[1])
    assert (job.state, job.attempt, job.attempted_by[0]) == ("retryable", 1, "ex-node")
    (error,) = job.errors
    assert (error.attempt, error.at) == (1, datetime(2026, 11, 24, 2, 58, 31, 513840, UTC))
    assert error.error.startswith("** (ArgumentError) ex job failed on purpose\n")


def test_unknown_columns_are_ignored_and_unknown_keys_of_meta_are_kept() -> None:
    meta = {"uniq": True, "uniq_bmp": [0, 1], "workflow_id": "w", "cron_tz": "Etc/UTC"}
    job = from_row({**ROWS[0], "meta": meta, "partition": "of Pro"})
    assert job.meta == meta
    assert to_row(job)["meta"] == meta


def test_a_row_of_oban_for_python_is_read() -> None:
    errors = [{"attempt": 1, "at": "2026-11-24T03:00:00.5+00:00", "error": "Traceback"}]
    job = from_row({**ROWS[0], "errors": errors, "attempted_by": [], "tags": []})
    assert job.errors == [JobError(1, datetime(2026, 11, 24, 3, 0, 0, 500000, UTC), "Traceback")]


def test_nulls_and_rubbish_of_another_program_do_not_stop_a_queue() -> None:
    values = dict.fromkeys(COLUMNS) | {"id": 1, "state": "available", "inserted_at": "soon", "errors": ["x", {"at": 5}]}
    job = to_job([values[name] for name in COLUMNS])
    assert isinstance(job.args, TornArgs)
    assert (job.meta, job.tags, job.attempted_by, job.inserted_at) == ({}, [], [], LONG_AGO)
    assert job.errors == [JobError(0, LONG_AGO, ""), JobError(0, LONG_AGO, "")]


@given(OBJECTS, st.sampled_from(["text", "gzip", "short"]))
def test_a_notification_survives_every_way_to_pack_it(message: dict[str, object], payload: Payload) -> None:
    assert decode_notification(encode_notification(message, payload)) == message


def test_the_three_payloads_of_oban_are_told_apart() -> None:
    long = {"ident": "any", "jobs": list(range(300))}
    assert encode_notification(long).startswith("{")
    assert encode_notification(long, "gzip").startswith("H4sI")
    assert encode_notification(long, "short").startswith("Z:H4sI")
    assert encode_notification({"queue": "mail"}, "short") == '{"queue":"mail"}'


@pytest.mark.parametrize("payload", ["", "x", "[1]", "{", "Z:", "Z:%%", "H4sIAAAA", "null"])
def test_a_payload_that_is_no_message_is_an_empty_one(payload: str) -> None:
    assert decode_notification(payload) == {}
