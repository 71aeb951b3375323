"""What becomes of an attempt: from what the worker answered or raised to what the store writes.

Pure but for the back-off function of a worker, which it calls; randomness is handed in.
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
"""Characters of an error that are kept: of a longer one the beginning and, more of it, the end."""

_HEAD: Final = 2_000

RECORDED: Final = "recorded"
RESULT: Final = "return"
"""The keys of a job's meta that say that it has a recorded result, and hold that as JSON."""

EXPIRED: Final = "expired"
"""The key of a job's meta that says that it was discarded without a run, for its time to begin was over."""

_DONE: Final = AttemptCompleted()


def outcome_of_answer(worker: AnyWorker, answer: object, redact: Callable[[str], str] = str) -> JobOutcome:
    """Return what becomes of an attempt that returned `answer`; `redact` hides in reasons what must not be kept.

    A result that cannot be kept, or is too large, ends the job as discarded: the work is done, and to do it again would
    not make the result any smaller.
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
    """Return the outcome of an attempt that raised `error`: tried again, or discarded when no attempt is left.

    `redact` hides in its text what must not be kept.
    """
    text = error_text(error, redact)
    if job.attempt >= job.max_attempts:
        return AttemptFailed(text, None, cause=error)
    try:
        wait = retry_seconds(worker.options.backoff, job, error, random)
    except Exception as slip:  # noqa: BLE001 - the user's function must not cost the job its next attempt
        note = f"{text}\nand then its backoff failed, so that Oban's was taken: {redact(describe(slip))}"
        return AttemptFailed(sound(note), oban_seconds(job.attempt, job.max_attempts, random), cause=error)
    if isinstance(wait, Discard):
        return AttemptFailed(
            sound(f"{text}\nand its backoff gave it up: {redact(str(wait.reason))}"), None, cause=error
        )
    return AttemptFailed(text, wait, cause=error)


def outcome_of_expiry(job: Job, now: datetime) -> JobOutcome | None:
    """Return what becomes of a job whose time to begin is over, or None for one that may begin."""
    deadline = deadline_of(job)
    if deadline is None or now < deadline:
        return None
    error = f"the job expired at {deadline:%Y-%m-%d %H:%M:%S} UTC, before a slot was free for it"
    return AttemptFailed(error, None, {EXPIRED: True})


def with_notes(outcome: JobOutcome, running: RunningJob) -> JobOutcome:
    """Return the outcome with what the job noted down and nobody has written yet."""
    notes = running.take_changes()
    return replace(outcome, meta={**notes, **(outcome.meta or {})}) if notes else outcome


def is_discarded(outcome: JobOutcome) -> bool:
    """Return whether the job is not tried again though it did not succeed: its `on_exhausted` is to hear of it."""
    return isinstance(outcome, AttemptFailed) and outcome.retry_seconds is None


def error_text(error: BaseException, redact: Callable[[str], str] = str) -> str:
    """Return an error as a job keeps it: one of ours as its sentence, others with their traceback from our call on."""
    if isinstance(error, HeadraceError):
        return sound(redact(class_and_message(error)))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_ours(trace.tb_frame.f_globals):
        trace = trace.tb_next
    return sound(redact("".join(traceback.format_exception(type(error), error, trace)).rstrip()))


def sound(text: object) -> str:
    """Return text that every store takes: not too long, and with nothing in it that is no UTF-8."""
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
