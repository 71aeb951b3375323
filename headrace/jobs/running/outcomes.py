"""Makes the outcome of an attempt from the result or the error of its worker.

It is pure, but for the worker's back-off function, which it calls. Randomness is an argument.
"""

import json
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from headrace.errors import HeadraceError, class_and_message, describe
from headrace.jobs.arguments import CodecError, shown
from headrace.jobs.errors import BadAnswer
from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptSnoozed,
    Cancel,
    Discard,
    Job,
    JobOutcome,
    Snooze,
)
from headrace.jobs.rules.retry import Random, oban_seconds, retry_seconds
from headrace.jobs.running_job import RunningJob, deadline_of
from headrace.jobs.worker import AnyWorker

ERROR_LIMIT: Final = 10_000
"""Characters of an error that are kept. A longer error is cut in the middle: its end says more than its beginning."""

_HEAD: Final = 2_000

RECORDED: Final = "recorded"
RESULT: Final = "return"
"""The keys of a job's meta for a recorded result: True if there is one, and the result as JSON."""

EXPIRED: Final = "expired"
"""The key of a job's meta that marks a job as expired: it was discarded without a run."""

_DONE: Final = AttemptCompleted()


def outcome_of_answer(worker: AnyWorker, answer: object, redact: Callable[[str], str] = str) -> JobOutcome:
    """Return the outcome of an attempt that returned `answer`; `redact` removes secrets from reasons.

    A result that cannot be kept as JSON, or is too large, discards the job: another attempt would return the same.
    """
    if isinstance(answer, Snooze):
        return AttemptSnoozed(answer.seconds)
    if isinstance(answer, Cancel):
        return AttemptCancelled(sound(redact(str(answer.reason))))
    if isinstance(answer, Discard):
        return AttemptFailed(sound(redact(str(answer.reason))), None)
    return _outcome_of_result(worker, answer) if worker.options.record else _DONE


def outcome_of_error(
    worker: AnyWorker, job: Job, error: BaseException, random: Random, redact: Callable[[str], str] = str
) -> AttemptFailed:
    """Return the outcome of an attempt that raised `error`: a retry, or a discarded job if no attempt is left.

    `redact` removes secrets from its text.
    """
    text = error_text(error, redact)
    if job.attempt >= job.max_attempts:
        return AttemptFailed(text, None, cause=error)
    try:
        wait = retry_seconds(worker.options.backoff, job, error, random)
    except Exception as slip:  # noqa: BLE001 - an error of the user's function must not cost the job its next attempt
        note = f"{text}\nand then its backoff failed, so that Oban's was taken: {redact(describe(slip))}"
        return AttemptFailed(sound(note), oban_seconds(job.attempt, job.max_attempts, random), cause=error)
    if isinstance(wait, Discard):
        return AttemptFailed(
            sound(f"{text}\nand its backoff discarded the job: {redact(str(wait.reason))}"), None, cause=error
        )
    return AttemptFailed(text, wait, cause=error)


def outcome_of_expiry(job: Job, now: datetime) -> JobOutcome | None:
    """Return the outcome of an expired job, or None for a job that may begin."""
    deadline = deadline_of(job)
    if deadline is None or now < deadline:
        return None
    error = f"the job expired at {deadline:%Y-%m-%d %H:%M:%S} UTC, before a slot was free for it"
    return AttemptFailed(error, None, {EXPIRED: True})


def with_notes(outcome: JobOutcome, running: RunningJob) -> JobOutcome:
    """Return the outcome with the progress and checkpoint of the job that are not written yet."""
    notes = running.take_changes()
    return replace(outcome, meta={**notes, **(outcome.meta or {})}) if notes else outcome


def is_discarded(outcome: JobOutcome) -> bool:
    """Return whether the job failed for good, so that its `on_exhausted` is called."""
    return isinstance(outcome, AttemptFailed) and outcome.retry_seconds is None


def error_text(error: BaseException, redact: Callable[[str], str] = str) -> str:
    """Return the text of an error that a job keeps: our own errors as a message, others as a traceback."""
    if isinstance(error, HeadraceError):
        return sound(redact(class_and_message(error)))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_ours(trace.tb_frame.f_globals):
        trace = trace.tb_next
    return sound(redact("".join(traceback.format_exception(type(error), error, trace)).rstrip()))


def sound(text: object) -> str:
    """Return text that every store accepts: at most ERROR_LIMIT characters and a note, in valid UTF-8."""
    whole = str(text).encode(errors="backslashreplace").decode()
    if len(whole) <= ERROR_LIMIT:
        return whole
    left_out = len(whole) - ERROR_LIMIT
    return f"{whole[:_HEAD]}\n… {left_out} characters …\n{whole[len(whole) - ERROR_LIMIT + _HEAD :]}"


def _outcome_of_result(worker: AnyWorker, result: object) -> JobOutcome:
    try:
        return AttemptCompleted({RECORDED: True, RESULT: _recorded(worker, result)})
    except BadAnswer as error:
        return AttemptFailed(sound(error), None)


def _recorded(worker: AnyWorker, answer: object) -> object:
    what = f"the result of worker {worker.name!r}"
    try:
        found = worker.results.encoded(answer)
    except CodecError as unfit:
        bad = BadAnswer(what, f"is {shown(unfit.found)}{unfit.why}")
    else:
        size, limit = len(json.dumps(found, ensure_ascii=False).encode()), worker.options.record_limit_bytes
        if size <= limit:
            return found
        why = f"takes {size} bytes as JSON, and at most {limit} are recorded: return where it is, or raise the limit"
        bad = BadAnswer(what, why)
    raise bad


def _is_ours(names: dict[str, object]) -> bool:
    return str(names.get("__name__")).startswith("headrace.")
