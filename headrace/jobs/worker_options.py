"""The options of a worker and of one job, and their checks."""

import inspect
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from types import NoneType
from typing import Any, Final, Literal, TypedDict, cast, get_args, get_type_hints

from headrace.jobs.errors import BadWorker, did_you_mean
from headrace.jobs.job import MAX_ATTEMPTS, PRIORITIES, Job, Unique, in_seconds
from headrace.jobs.rules.limits import NAME, is_name
from headrace.jobs.rules.retry import Backoff, is_duration

ExecutorName = Literal["inline", "thread", "subprocess"]
"""Where a worker runs: on the event loop, in a thread, or in an OS process of a pool."""

OnExhausted = Callable[[Job, str], Awaitable[object] | object]
"""Gets a discarded job, and the text of its last error."""

_NO_TIMEOUT: Final = (
    "its timeout_seconds cannot end a def in a thread: take the job, job: RunningJob, and return once it is_cancelled, "
    "set executor='subprocess', or write an async def"
)

RECORD_LIMIT_BYTES: Final = 64 * 1024
"""The default limit of a recorded result as JSON: each read of the job reads it, too."""


class JobOptions(TypedDict, total=False):
    """The options of jobs: a worker sets them, and `with_options` changes them for some of its jobs."""

    queue: str
    max_attempts: int
    priority: int
    tags: Sequence[str]
    unique: Unique | bool | None
    expires_in_seconds: float | timedelta | None
    keep_seconds: float | timedelta | None


class WorkerKeywords(JobOptions, total=False):
    """The options of `worker`, each of which may be left out."""

    timeout_seconds: float | timedelta | None
    backoff: Backoff | timedelta | None
    name: str | None
    aliases: Sequence[str]
    executor: ExecutorName | None
    record: bool
    record_limit_bytes: int
    on_exhausted: OnExhausted | None
    encrypted: bool
    chain: str | Sequence[str] | bool | None


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The checked options of a worker."""

    name: str
    executor: ExecutorName
    aliases: tuple[str, ...] = ()
    queue: str = "default"
    max_attempts: int = MAX_ATTEMPTS
    priority: int = 0
    tags: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    backoff: Backoff = "oban"
    unique: Unique | None = None
    record: bool = False
    record_limit_bytes: int = RECORD_LIMIT_BYTES
    on_exhausted: OnExhausted | None = None
    expires_in_seconds: float | None = None
    keep_seconds: float | None = None
    encrypted: bool = False
    chain: tuple[str, ...] | None = None


def options_of(function: Callable[..., object], keywords: Mapping[str, object]) -> WorkerOptions:
    """Return the options of a worker. Raises `BadWorker` for a bad option, or a function that cannot be a worker."""
    known = _known(function)
    _check_function(function, known)
    keywords = {key: in_seconds(value) for key, value in keywords.items()}
    for key, value in keywords.items():
        _check_option(known, key, value)
    values = {key: value for key, value in _tidied(keywords).items() if value is not None}
    values.setdefault("name", f"{function.__module__}.{function.__qualname__}")
    _check_option(known, "name", values["name"])
    values.setdefault("executor", "inline" if inspect.iscoroutinefunction(function) else "thread")
    options = WorkerOptions(**values)
    _check_executor(function, known, options)
    _check_chain(function, known, options)
    return options


def variant_of(options: WorkerOptions, keywords: JobOptions) -> WorkerOptions:
    """Return options with other options of jobs. Raises `BadWorker` for an option of the worker itself."""
    values = {key: in_seconds(value) for key, value in keywords.items()}
    for key, value in values.items():
        if key not in JobOptions.__optional_keys__:
            raise BadWorker(options.name, f"{key} is no option of one job: set it where the worker is made")
        _check_option(options.name, key, value)
    return replace(options, **_tidied(values))


def _known(function: object) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name else f"{function!r:.100}"


def _check_function(function: Callable[..., object], known: str) -> None:
    why = None
    if not inspect.isfunction(function):
        why = "it is no function: decorate a def or an async def of a module"
    elif function.__name__ == "<lambda>":
        why = "a lambda has no name that a job could be kept under: write a def"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        why = "it is a generator, and its values would be lost: return a value, or report it by current_job().progress"
    elif inspect.iscoroutinefunction(inspect.unwrap(function)) and not inspect.iscoroutinefunction(function):
        why = "it is a def around an async def, so no code would await that: make the wrapper an async def, too"
    elif next(iter(inspect.signature(function).parameters), None) == "self":
        why = "no object could be kept to call a method on: decorate a function"
    if why is not None:
        raise BadWorker(known, why)


def _check_option(known: str, key: str, value: object) -> None:
    rule = _RULES.get(key)
    if rule is None:
        like = get_close_matches(key, _RULES, 1)
        advice = f"did you mean {like[0]}?" if like else f"the options are {', '.join(_RULES)}"
        raise BadWorker(known, f"{key} is no option of a worker: {advice}")
    fits, allowed = rule
    if not fits(value) and not (value is None and key in _MAY_BE_NONE):
        raise BadWorker(known, f"{key} is {value!r:.100}, and must be {allowed}")


def _check_executor(function: Callable[..., object], known: str, options: WorkerOptions) -> None:
    is_async = inspect.iscoroutinefunction(function)
    why = None
    if is_async and options.executor == "thread":
        why = "an async def runs on the loop: leave executor out, or set it to subprocess"
    elif options.executor == "inline" and not is_async and options.timeout_seconds is not None:
        why = "a def that runs on the loop cannot be ended in time: take timeout_seconds away, or set executor='thread'"
    elif options.executor == "subprocess" and "<locals>" in function.__qualname__:
        why = "no other OS process can import a function inside a function: move it to its module"
    if why is not None:
        raise BadWorker(known, why)
    if options.executor == "thread" and options.timeout_seconds is not None and not _takes_running_job(function):
        text = f"worker {known!r}: {_NO_TIMEOUT}"
        warnings.warn(text, UserWarning, stacklevel=4)


def _takes_running_job(function: Callable[..., object]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any("RunningJob" in str(one.annotation) for one in parameters)


def _check_chain(function: Callable[..., object], known: str, options: WorkerOptions) -> None:
    parameters = inspect.signature(function).parameters
    why = None
    for key in options.chain or ():
        if options.encrypted:
            why = (
                f"a chain by {key!r} would show which of its encrypted args are equal: set chain=True, or leave it out"
            )
        elif key not in parameters:
            why = f"its chain is by {key!r}, which is no parameter of it: {did_you_mean(key, parameters)}"
    if why is not None:
        raise BadWorker(known, why)


def _tidied(keywords: Mapping[str, object]) -> dict[str, Any]:
    """Convert checked keywords to the values of `WorkerOptions`."""
    values = dict(keywords)
    if "aliases" in values:
        values["aliases"] = tuple(cast("Sequence[str]", values["aliases"]))
    if "tags" in values:
        values["tags"] = _tags(cast("Sequence[str]", values["tags"]))
    if isinstance(chain := values.get("chain"), bool):
        values["chain"] = () if chain else None
    elif "chain" in values:
        values["chain"] = (chain,) if isinstance(chain, str) else tuple(cast("Sequence[str]", chain or ()))
    if isinstance(is_unique := values.get("unique"), bool):
        values["unique"] = Unique() if is_unique else None
    return values


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Return tags as Oban stores them: trimmed, in lower case, each once."""
    return tuple(dict.fromkeys(trimmed for tag in tags if (trimmed := tag.strip().lower())))


def _are_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(is_name, value))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_seconds(value: object) -> bool:
    return is_duration(value) and value > 0


def _can_take(function: Callable[..., object], count: int) -> bool:
    """Return whether a function takes `count` positional arguments; True if it has no readable signature."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some functions written in C
        return True
    return True


def _is_backoff(value: object) -> bool:
    if callable(value):
        return not inspect.iscoroutinefunction(value) and _can_take(value, 3)
    return value in {"oban", "sidekiq"} if isinstance(value, str) else value == 0 or _is_seconds(value)


_RULES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "queue": (is_name, NAME),
    "max_attempts": (_is_count, "a whole number from 1 on"),
    "priority": (
        lambda value: type(value) is int and value in PRIORITIES,
        "a whole number from 0, the most urgent, to 9",
    ),
    "tags": (_are_names, "a list of texts"),
    "timeout_seconds": (_is_seconds, "seconds above 0, or None for no limit"),
    "backoff": (_is_backoff, '"oban", "sidekiq", seconds, or a def that takes three: attempt, error, job'),
    "unique": (lambda value: isinstance(value, Unique | bool), "a Unique, True for its defaults, or None"),
    "name": (is_name, NAME),
    "aliases": (_are_names, f"a list of names, each {NAME}"),
    "executor": (lambda value: value in {"inline", "thread", "subprocess"}, '"inline", "thread" or "subprocess"'),
    "record": (lambda value: isinstance(value, bool), "True or False"),
    "record_limit_bytes": (_is_count, "a whole number of bytes from 1 on"),
    "on_exhausted": (
        lambda value: callable(value) and _can_take(value, 2),
        "a function that takes two: the job, and its error as text",
    ),
    "expires_in_seconds": (_is_seconds, "seconds above 0, or None for never"),
    "keep_seconds": (_is_seconds, "seconds above 0, or None for the retention of the settings"),
    "chain": (
        lambda value: isinstance(value, bool) or is_name(value) or _are_names(value),
        "the name of a parameter, a list of names, or True for all its jobs",
    ),
    "encrypted": (lambda value: isinstance(value, bool), "True or False"),
}

_MAY_BE_NONE: Final = frozenset(
    key for key, hint in get_type_hints(WorkerKeywords).items() if NoneType in get_args(hint)
)
