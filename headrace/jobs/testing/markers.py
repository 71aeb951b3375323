"""Makes the `JobsTester` that the markers of a test describe."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Final, cast

from headrace.jobs.errors import BadJobsTest
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.testing.tester import JobsTester, TesterMode
from headrace.jobs.worker import AnyWorker, Worker

_MARKER: Final = "the marker headrace_jobs"

_KEYWORDS: Final = ("mode", "modules", "workers", "settings")

_WHOSE: Final = frozenset({"modules", "workers"})
"""The keywords that name workers."""


def marked_tester(markers: Iterable[tuple[Sequence[object], Mapping[str, object]]]) -> JobsTester:
    """Return the tester of markers, each given by its arguments, the nearest one first.

    A marker with modules or workers replaces the modules and workers of the others. Raises `BadJobsTest`, and
    `BadModule`.
    """
    options: dict[str, object] = {}
    for positional, keywords in markers:
        _check(positional, keywords)
        taken = options.keys() | (_WHOSE if options.keys() & _WHOSE else frozenset())
        options.update({key: value for key, value in keywords.items() if key not in taken})
    settings = options.get("settings")
    if settings is not None and not isinstance(settings, JobsSettings):
        what = f"{_MARKER} has the settings {settings!r:.100}"
        raise BadJobsTest(what, "hand in a JobsSettings")
    return JobsTester(_catalogue(options), cast("TesterMode", options.get("mode", "manual")), settings)


def _check(positional: Sequence[object], keywords: Mapping[str, object]) -> None:
    if positional:
        what = f"{_MARKER} has the argument {positional[0]!r:.100} without a keyword"
        raise BadJobsTest(what, f"it takes {', '.join(f'{key}=' for key in _KEYWORDS)}")
    for key in keywords:
        if key not in _KEYWORDS:
            like = get_close_matches(key, _KEYWORDS, 1)
            advice = f"did you mean {like[0]}=?" if like else f"it takes {', '.join(f'{key}=' for key in _KEYWORDS)}"
            what = f"{_MARKER} has the unknown keyword {key}="
            raise BadJobsTest(what, advice)


def _catalogue(options: Mapping[str, object]) -> WorkerCatalogue:
    modules = [one.__name__ if isinstance(one, ModuleType) else one for one in _list(options, "modules")]
    workers = _list(options, "workers")
    for key, value, is_one in [
        *(("modules", one, isinstance(one, str)) for one in modules),
        *(("workers", one, isinstance(one, Worker)) for one in workers),
    ]:
        if not is_one:
            what = f"{_MARKER} has {value!r:.100} among its {key}"
            raise BadJobsTest(what, "name modules as text; list workers themselves, the decorated functions")
    if not modules and not workers:
        what = "no worker is listed whose jobs the test could have"
        raise BadJobsTest(
            what, "set headrace_jobs_modules in pytest's settings, or use modules= or workers= in the marker"
        )
    return WorkerCatalogue([*WorkerCatalogue.of_modules(cast("list[str]", modules)), *cast("list[AnyWorker]", workers)])


def _list(options: Mapping[str, object], key: str) -> Sequence[object]:
    found = options.get(key, ())
    if isinstance(found, str) or not isinstance(found, Sequence):
        what = f"{_MARKER} has the {key} {found!r:.100}"
        raise BadJobsTest(what, "hand in a list")
    return found
