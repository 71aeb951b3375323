"""Stages whose class a config names itself: `type: module:Class`."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config.check.config import Config
from headrace.config.check.guarantees import guarantees
from headrace.config.files import load_file
from headrace.config.pipeline import Pipeline
from headrace.config.schema import schema
from headrace.config.text.findings import ConfigError, Finding

CLASSES = """\
import sys
from abc import ABC, abstractmethod

from pydantic import BaseModel, field_validator

from headrace import Consumer, Producer, ProducerConsumer

open('imported', 'w').close()


class Numbers(Producer):
    class Options(BaseModel):
        count: int = 3

    def __init__(self, options):
        self.left = options.count

    def handle_demand(self, demand):
        events = list(range(min(demand, self.left)))
        self.left -= len(events)
        if not self.left:
            self.complete()
        return events


class Double(ProducerConsumer):
    def handle_events(self, events):
        return [2 * event for event in events]


class Sink(Consumer):
    seen = []

    def handle_events(self, events):
        self.seen.extend(events)


class Broken(Consumer):
    def __init__(self):
        raise ValueError('s3cr3t-value')

    def handle_events(self, events):
        pass


class Greedy(Consumer):
    def __init__(self, one, two):
        pass

    def handle_events(self, events):
        pass


class Deaf(Consumer):
    pass


class Leaving(Consumer):
    def __init__(self):
        sys.exit(0)

    def handle_events(self, events):
        pass


class Abstract(Consumer, ABC):
    def handle_events(self, events):
        self.write(events)

    @abstractmethod
    def write(self, events):
        pass


class Working(Consumer):
    needs_jobs = True

    def __init__(self, jobs):
        pass


class Retrying(Consumer):
    class Options(BaseModel):
        retry: int = 3
        type: str = 'kind'

    def __init__(self, options):
        pass

    def handle_events(self, events):
        pass


class Picky(Consumer):
    class Options(BaseModel):
        colour: str

        @field_validator('colour')
        @classmethod
        def _known(cls, colour):
            return {'red': 'r'}[colour]

    def __init__(self, options):
        pass

    def handle_events(self, events):
        pass


class Other:
    pass


NUMBER = 5
"""

GOOD = """\
listen: off
stages:
  numbers: {type: "MODULE:Numbers", count: 4}
  doubled: {type: "MODULE:Double", subscribe_to: numbers}
  sink: {type: "MODULE:Sink", subscribe_to: doubled}
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of stages beside the config; it is the working directory, and `sys.path` is put back."""
    monkeypatch.chdir(tmp_path)
    before, modules = list(sys.path), set(sys.modules)
    (tmp_path / f"{_module(tmp_path)}.py").write_text(CLASSES)
    yield tmp_path
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        if name.startswith("stages_of_"):
            del sys.modules[name]


def _module(folder: Path) -> str:
    return "stages_of_" + re.sub(r"\W", "_", folder.name)


def _load(folder: Path, text: str, *, imports: bool = True, environ: dict[str, str] | None = None) -> Config:
    path = folder / "c.yaml"
    path.write_text(text.replace("MODULE", _module(folder)))
    return load_file(path, environ=environ or {}, imports=imports, runs_alone=True)


def _finding(folder: Path, type_: str, options: str = "", environ: dict[str, str] | None = None) -> Finding:
    """Return what is wrong with a sink of that type."""
    sink = f'{{type: "{type_}", subscribe_to: numbers{options}}}'
    text = f"listen: off\nstages:\n  numbers: {{type: generate, count: 1}}\n  sink: {sink}\n"
    with pytest.raises(ConfigError) as caught:
        _load(folder, text, environ=environ)
    (finding,) = caught.value.findings
    return finding


@pytest.mark.asyncio
async def test_stages_whose_classes_lie_beside_the_config_run(folder: Path) -> None:
    config = _load(folder, GOOD)
    assert (await Pipeline.from_config(config).run()).is_fine
    sink = config.stages[2].type.stage
    assert vars(sink)["seen"] == [0, 2, 4, 6]
    assert [stage.type.kind for stage in config.stages] == ["producer", "producer_consumer", "consumer"]


def test_without_imports_no_class_is_imported_and_no_path_is_promised(folder: Path) -> None:
    config = _load(folder, GOOD, imports=False)
    assert not (folder / "imported").exists()
    assert [stage.type.kind for stage in config.stages] == [None, None, None]
    assert guarantees(config) == []
    _load(folder, GOOD)
    assert (folder / "imported").exists()


def test_options_of_a_class_are_checked_and_a_class_without_them_takes_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"`count` must be a whole number, and is x"):
        _load(folder, GOOD.replace("count: 4", "count: x"))
    with pytest.raises(ConfigError, match=r"has no key `colour`"):
        _load(folder, GOOD.replace("subscribe_to: doubled", "subscribe_to: doubled, colour: red"))
    with pytest.raises(ConfigError, match=r"has no key `cuont`; did you mean `count`"):
        _load(folder, GOOD.replace("count: 4", "cuont: 4"))


@pytest.mark.parametrize(
    ("written", "code", "words", "suggestion"),
    [
        ("MODULE:Snk", "bad-import", "there is no 'Snk' in module MODULE", "MODULE:Sink"),
        ("no_such_module:Sink", "bad-import", "there is no module 'no_such_module'", None),
        ("MODULE:Other", "broken-type", "it is not a class made of Producer, ProducerConsumer or Consumer", None),
        ("MODULE:NUMBER", "bad-import", "is neither a function nor a class, but of type int", None),
        ("MODULE:", "bad-import", "the class of a stage is written module:Class", None),
        ("MODULE:Broken", "broken-type", "its `__init__` raises ValueError (", None),
        ("MODULE:Greedy", "broken-type", "called with no options, for it has no `Options`", None),
        ("MODULE:Leaving", "broken-type", "its `__init__` raises SystemExit (", None),
        ("MODULE:Abstract", "broken-type", "it leaves out the abstract method `write`", None),
        ("MODULE:Retrying", "broken-type", "its `Options` has a field `retry`, a key that headrace reads", None),
        ("MODULE:Deaf", "broken-type", "Deaf has no handle_events(self, events) of its own: write it", None),
        ("tick_tock", "unknown-type", "write a class of your own as module:Class, or install it as an entry", "tick"),
        ("shop.stages.Sink", "unknown-type", "write a class of your own as module:Class", "shop.stages:Sink"),
    ],
)
def test_a_wrong_class_is_a_finding_that_says_what_to_write(
    folder: Path, written: str, code: str, words: str, suggestion: str | None
) -> None:
    finding = _finding(folder, written)
    assert (finding.code, finding.line) == (code, 4)
    assert words.replace("MODULE", _module(folder)) in finding.message
    assert finding.suggestion == (suggestion and suggestion.replace("MODULE", _module(folder)))
    assert "s3cr3t" not in finding.as_text()


def test_an_error_in_a_validator_of_options_is_a_finding_that_hides_the_value(folder: Path) -> None:
    finding = _finding(folder, "MODULE:Picky", ", colour: '${COLOUR}'", environ={"COLOUR": "s3cr3t-value"})
    assert (finding.code, finding.line) == ("broken-type", 4)
    assert "cannot be used: its `Options` raises KeyError (" in finding.message
    assert "s3cr3t" not in finding.as_text()


def test_a_class_that_needs_jobs_and_has_no_callback_is_a_finding(folder: Path) -> None:
    text = "listen: off\njobs: {store: 'memory:'}\nstages:\n  numbers: {type: generate, count: 1}\n"
    with pytest.raises(ConfigError, match=r"Working has no handle_events\(self, events\) of its own"):
        _load(folder, text + '  sink: {type: "MODULE:Working", subscribe_to: numbers}\n')


def test_a_module_without_the_class_names_its_stage_classes(folder: Path) -> None:
    finding = _finding(folder, "MODULE:Other")
    assert set(finding.allowed) >= {f"{_module(folder)}:{name}" for name in ("Numbers", "Double", "Sink")}
    assert not any(name.endswith(":Consumer") for name in finding.allowed)


def test_a_class_named_by_a_variable_is_not_shown(folder: Path) -> None:
    finding = _finding(folder, "${SINK}", environ={"SINK": f"{_module(folder)}:Snk"})
    assert "${SINK}" in finding.message
    assert _module(folder) not in finding.as_text()
    unknown = _finding(folder, "${SINK}", ", colour: red", environ={"SINK": f"{_module(folder)}:Sink"})
    assert unknown.message == "a ${SINK} stage has no key `colour`"


def test_the_schema_lets_a_class_have_any_options() -> None:
    choices = json.loads(json.dumps(schema()))["properties"]["stages"]["additionalProperties"]["oneOf"]
    (custom,) = [choice for choice in choices if choice["title"] == "module:Class"]
    assert re.search(custom["properties"]["type"]["pattern"], "shop.stages:Enrich")
    assert "additionalProperties" not in custom
    others = [choice["properties"]["type"]["const"] for choice in choices if choice is not custom]
    assert not [name for name in others if re.search(custom["properties"]["type"]["pattern"], name)]
