import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.jobs.errors import BadModule, BadWorker, NotBound, WorkerNameTaken
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.worker import AnyWorker, worker
from tests.fakes.enqueueing import ListService

Write = Callable[[str, str], str]

SHOP = """
from headrace.jobs.worker import worker

@worker(aliases=["shop.old_build"])
async def build(sku: int) -> None: ...

@worker
def pack(sku: int) -> None: ...

urgent = pack.with_options(priority=5)
again = build
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module that can be imported, and forget it afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("j2_"):
            del sys.modules[name]


def test_the_workers_of_the_listed_modules_are_found_each_once(write: Write) -> None:
    catalogue = WorkerCatalogue.of_modules([write("j2_shop", SHOP)])
    assert [one.name for one in catalogue] == ["j2_shop.build", "j2_shop.pack"]
    assert catalogue.names == ("j2_shop.build", "j2_shop.pack", "shop.old_build")
    assert catalogue.get("shop.old_build") is catalogue.get("j2_shop.build") is not None
    pack = catalogue.get("j2_shop.pack")
    assert pack is not None
    assert pack.options.priority == 0
    assert catalogue.get("os.system") is None


def test_a_worker_that_two_modules_show_is_one(write: Write) -> None:
    names = [write("j2_first", SHOP), write("j2_second", "from j2_first import build")]
    assert len(list(WorkerCatalogue.of_modules(names))) == 2


def test_nothing_but_the_listed_modules_is_imported(write: Write) -> None:
    write("j2_other", "raise AssertionError")
    WorkerCatalogue.of_modules([write("j2_shop", SHOP)]).get("j2_other.worker")
    assert "j2_other" not in sys.modules


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import os", "has none: decorate a function of it"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import j2_missing", "cannot be imported: ModuleNotFoundError: No module named 'j2_missing'"),
        ("def (", "cannot be imported: SyntaxError"),
    ],
)
def test_a_module_without_use_is_refused(write: Write, text: str, why: str) -> None:
    with pytest.raises(BadModule, match=f"the module 'j2_bad' of workers {why}"):
        WorkerCatalogue.of_modules([write("j2_bad", text)])


@pytest.mark.parametrize("name", ["j2_nowhere", "j2_nowhere.shop", "", ".shop"])
def test_a_module_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(BadModule, match="cannot be found: check its name"):
        WorkerCatalogue.of_modules([name])


def named(name: str, *aliases: str) -> AnyWorker:
    @worker(name=name, aliases=aliases)
    def build() -> None: ...

    return build


@pytest.mark.parametrize("other", [named("shop.build"), named("shop.other", "shop.build"), named("x", "shop.old")])
def test_two_workers_of_one_name_are_refused(other: AnyWorker) -> None:
    with pytest.raises(WorkerNameTaken, match=r"named.<locals>.build both have the name 'shop\.(build|old)': give one"):
        WorkerCatalogue([named("shop.build", "shop.old"), other])


def test_annotations_that_cannot_be_kept_are_refused_at_once() -> None:
    class Socket: ...

    @worker
    def send(to: Socket) -> None: ...

    with pytest.raises(BadWorker, match="its 'to' cannot be kept as JSON"):
        WorkerCatalogue([send])

    @worker(record=True)
    def connect() -> Socket:
        return Socket()

    with pytest.raises(BadWorker, match="its 'result' cannot be kept as JSON"):
        WorkerCatalogue([connect])


def test_a_stranger_is_named_once() -> None:
    catalogue = WorkerCatalogue([named("shop.build")])
    assert catalogue.unknown_workers(["elixir.Mailer", "shop.build", "a.b", "a.b"]) == ["a.b", "elixir.Mailer"]
    assert catalogue.unknown_workers(["elixir.Mailer", "c.d"]) == ["c.d"]


def test_all_workers_are_bound_or_none() -> None:
    mine, other = ListService(), ListService()
    first, second = named("a"), named("b")
    second.binding.bind(other)
    with pytest.raises(NotBound, match="worker 'b' enqueues to another Jobs already"):
        WorkerCatalogue([first, second]).bind(mine)
    first.binding.bind(other)
    WorkerCatalogue([first, second]).unbind(other)
    WorkerCatalogue([first, second]).bind(mine)
