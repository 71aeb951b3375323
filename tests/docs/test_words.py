"""The names, options, errors and tests in the tables of docs/ exist."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Final, get_type_hints

import pytest

import headrace
from headrace import errors
from headrace.config.pipeline import Pipeline
from headrace.errors import pipeline
from headrace.otp.gen_server import GenServer, Timer
from headrace.otp.process.mailbox import Reply
from headrace.otp.ref import Ref
from headrace.otp.registry import Registry
from headrace.otp.supervision.child_spec import ChildSpec, SupervisorOptions
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task import Task
from headrace.otp.task_supervisor import TaskSupervisor
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.handle import StageHandle

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    page for page in sorted((ROOT / "docs").glob("*.md")) if page.name in {"genstage.md", "otp-reference.md"}
]

OBJECTS: Final[dict[str, tuple[type, ...]]] = {
    "pipeline": (Pipeline,),
    "handle": (StageHandle,),
    "ref": (Ref,),
    "subscription": (SubscriptionHandle,),
    "self": (Producer, ProducerConsumer, Consumer, ConsumerSupervisor, GenServer),
    "supervisor": (Supervisor,),
    "task": (Task,),
    "tasks": (TaskSupervisor,),
    "registry": (Registry,),
    "reply": (Reply,),
    "timer": (Timer,),
    "Task": (Task,),
    "Producer": (Producer,),
}
"""The classes of the objects that the tables name."""

MADE: Final = {
    each.__name__: each
    for each in (SubscribeTo, StageSettings, Pipeline, DemandDispatcher, PartitionDispatcher, ChildSpec, TaskSupervisor)
}


def cells(page: Path) -> list[str]:
    """Return the second cell of every row of a page's tables."""
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| ")]
    return [row[2] for row in rows]


def options(made: type) -> set[str]:
    """Return the names of the arguments of a class."""
    if dataclasses.is_dataclass(made):
        return {field.name for field in dataclasses.fields(made)}
    return set(inspect.signature(made).parameters)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_word_in_the_tables_is_there(page: Path) -> None:
    found = [word for cell in cells(page) for word in re.findall(r"\b(\w+)\.(\w+)", cell) if word[0] in OBJECTS]
    assert len(found) > 15
    assert [(name, word) for name, word in found if not any(hasattr(one, word) for one in OBJECTS[name])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_the_tables_is_there(page: Path) -> None:
    made = [call for cell in cells(page) for call in re.findall(r"\b([A-Z]\w+)\(([^`]*)\)", cell) if call[0] in MADE]
    said = [(name, option) for name, arguments in made for option in re.findall(r"(\w+)=", arguments)]
    assert said
    assert [(name, option) for name, option in said if option not in options(MADE[name])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_error_on_the_pages_is_there(page: Path) -> None:
    kinds = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    listed = re.findall(r"^\| `([A-Z]\w+)` \| ", page.read_text(), re.MULTILINE)
    ours = {name for name in kinds if issubclass(getattr(errors, name), errors.ProcessError)} - {"ProcessError"}
    if page.name == "otp-reference.md":
        assert ours - set(listed) == set()
    assert set(headrace.__all__) & set(listed) <= {"Unrecoverable", *kinds, *headrace.__all__}


def test_the_page_on_stages_lists_every_error_of_a_stage() -> None:
    listed = re.findall(r"^\| `([A-Z]\w+)` \| ", (ROOT / "docs" / "python.md").read_text(), re.MULTILINE)
    kinds = {
        name for name, one in vars(pipeline).items() if isinstance(one, type) and one.__module__ == pipeline.__name__
    }
    assert kinds - {"StageError"} <= set(listed)


def test_every_test_that_a_page_names_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "genstage.md").read_text())
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "pipeline").rglob("test_*.py"))
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_a_supervisor_has_the_options_that_the_pages_speak_of() -> None:
    assert {"strategy", "children", "max_restarts", "max_seconds"} <= set(get_type_hints(SupervisorOptions))
