"""What a variable or a file holds is never shown: not in a finding, not in an error, not in a config's own form."""

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config.files import load_text
from headrace.config.pipeline import Pipeline
from headrace.config.text.findings import ConfigError
from tests.fakes.config_stages import catalogue

CANARY = "zq81canary"
DIGITS = "918273645"

TOP = """\
name: {name}
listen: {{address: {address}, token: {token}, metrics_public: {public}}}
python_path: [{path}]
stages:
  ticks: {{type: tick, {tick}}}
  change: {{type: change, subscribe_to: {to}, {change}}}
  tally: {{type: tally, subscribe_to: ticks, metrics: [{{{metric}}}]}}
"""
GOOD = {
    "name": "shop",
    "address": "'127.0.0.1:0'",
    "token": "abc",
    "public": "false",
    "path": "lib",
    "tick": "count: 1",
    "to": "ticks",
    "change": "where: event",
    "metric": "counter: shop_total",
}
V = '"${CANARY}"'
IN = '"a ${CANARY} b"'
PLACES: list[dict[str, str]] = [
    {"name": IN},
    {"address": V},
    {"address": '"${CANARY}:1"'},
    {"address": '"0.0.0.0:1"', "token": V, "public": IN},
    {"public": V},
    {"path": V, "name": '"?"'},
    *(
        {"tick": f"{key}: {value}"}
        for key in ("count", "rate", "every", "listen", "decode", "follow", "ratio", "nothing", "template", "type")
        for value in (V, IN)
    ),
    {"tick": f"path: {{a: {V}}}"},
    {"tick": f"path: [{V}, 5]"},
    {"tick": f"{V}: 5"},
    {"tick": f"count: {V}, password: {V}"},
    {"tick": f"template: {{x: {IN}, y: [{V}, {V}]}}"},
    {"tick": f"buffer: {{max_events: {V}, when_full: {V}}}, dispatcher: {V}"},
    {"to": V},
    {"to": f"[{V}, {V}, ticks]"},
    {"to": f"{{stage: {V}, max_demand: {IN}, min_demand: {V}, cancel: {V}, selector: {IN}}}"},
    *(
        {"change": f"{key}: {value}"}
        for key in ("where", "call", "set")
        for value in (V, IN, '"${CANARY}.mod:f"', '"json:${CANARY}"', '"json.${CANARY}:x"', '"event.${CANARY}("')
    ),
    {"change": f"where: '1', call: {V}"},
    {"metric": f"counter: {V}"},
    {"metric": f"counter: {IN}"},
    {"metric": f"counter: x, labels: {{a: {IN}}}, value: {IN}"},
    {"metric": f"histogram: {V}, value: {V}, buckets: [{V}]"},
    {"token": '"${file:${CANARY}}"'},
    {"token": '"${MISSING:?ask}${CANARY}"'},
    {"token": '"${CANARY}${MISSING:-${ALSO}}"'},
    {"token": '"${CANARY"'},
    {"token": '"${file:secret}"', "tick": 'count: "${file:secret}"'},
]
VALUES = [
    CANARY,
    DIGITS,
    f"{DIGITS}XB",
    f"{CANARY}/s",
    f"event.{CANARY}(",
    f"{CANARY}.{CANARY}:{CANARY}",
    f"json:{CANARY}",
    f"https://{CANARY}:{CANARY}@host:99999/",
    f"'{CANARY}'",
    f'"{CANARY}',
    f"{CANARY}\n{CANARY}",
    "\udcff" + CANARY,
]


def shown(error: BaseException) -> Iterator[str]:
    """Everything that somebody could print of an error and of what is chained to it."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield from (str(one), repr(one), repr(one.args), *traceback.format_exception(one))
            waiting += [one.__cause__, one.__context__]
    if isinstance(error, ConfigError):
        yield error.as_text()
        yield json.dumps(error.as_json())
        yield from map(repr, error.findings)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("place", PLACES, ids=range(len(PLACES)))
def test_a_variables_value_is_never_shown(tmp_path: Path, place: dict[str, str], value: str) -> None:
    (tmp_path / "secret").write_bytes(value.encode(errors="surrogateescape"))
    text = TOP.format_map({**GOOD, **place})
    try:
        config = load_text(text, folder=tmp_path, environ={"CANARY": value}, imports=False, catalogue=catalogue())
        told = [repr(config), str(config)]
    except ConfigError as error:
        told = list(shown(error))
    for line in told:
        assert CANARY[:5] not in line.replace("${CANARY}", "")
        assert DIGITS[:5] not in line


def test_imports_do_not_show_a_variables_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "config_secret_module.py").write_text("def f(event):\n    return event\n")
    text = "stages:\n  t: {type: tick}\n  c: {type: change, subscribe_to: t, call: 'X'}\n"
    for written in ("${CANARY}:f", "json.${CANARY}:f", "json:${CANARY}", "json:dumps.${CANARY}", "${CANARY}"):
        for value in (CANARY, f"config_secret_module.{CANARY}", f"json:{CANARY}"):
            with pytest.raises(ConfigError) as caught:
                load_text(text.replace("X", written), folder=tmp_path, environ={"CANARY": value}, catalogue=catalogue())
            assert all(CANARY not in line for line in shown(caught.value))


def test_a_pipeline_does_not_show_its_secrets(tmp_path: Path) -> None:
    text = TOP.format_map({**GOOD, "token": V, "tick": f"password: {V}"})
    config = load_text(text, folder=tmp_path, environ={"CANARY": CANARY}, imports=False, catalogue=catalogue())
    pipeline = Pipeline.from_config(config)
    assert config.listen is not None
    for line in (repr(config), str(config.stages), repr(config.listen), repr(pipeline), repr(pipeline.listen)):
        assert CANARY not in line


def test_the_finding_says_that_a_variable_is_behind_it() -> None:
    text = "stages: {t: {type: tick, every: '${CANARY}'}}"
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={"CANARY": CANARY}, imports=False, catalogue=catalogue())
    (found,) = caught.value.findings
    assert found.found == "'${CANARY}'"
    assert "may reveal the value of a variable" in found.message


def test_an_ordinary_message_is_shown_although_a_variable_stands_beside_it() -> None:
    text = """\
stages:
  t: {type: tick, path: '${CANARY}', every: 7}
  c: {type: change, subscribe_to: t, call: 'a:b', where: '1'}
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={"CANARY": CANARY}, imports=False, catalogue=catalogue())
    assert [found.message.partition(":")[0] for found in caught.value.findings] == [
        "`every` has no unit",
        "`call` and `where` exclude each other",
    ]
