"""Config files, alone and together."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.files import load_file, load_files, load_text
from headrace.config.text.findings import ConfigError
from tests.fakes.config_stages import Change, catalogue

GOOD = "stages: {a: {type: tick, count: 3}, b: {type: tally, subscribe_to: a}}\n"
GOOD_JSON = '{"stages": {"a": {"type": "tick", "count": 3}, "b": {"type": "tally", "subscribe_to": "a"}}}'
GOOD_TOML = '[stages.a]\ntype = "tick"\ncount = 3\n[stages.b]\ntype = "tally"\nsubscribe_to = "a"\n'


@pytest.fixture
def _search_path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "text"), [("s.yaml", GOOD), ("s.json", GOOD_JSON), ("s.toml", GOOD_TOML)])
def test_a_file_of_each_format_is_the_same_config(tmp_path: Path, name: str, text: str) -> None:
    config = load_file(write(tmp_path, name, text), environ={}, imports=False, catalogue=catalogue())
    assert config.name == "s"
    assert config.file == str(tmp_path / name)
    assert [stage.name for stage in config.stages] == ["a", "b"]
    assert config.stages[0].options.model_dump()["count"] == 3


@pytest.mark.parametrize(
    ("name", "text", "line", "column"),
    [
        ("s.yaml", "stages:\n  a:\n    type: tick\n    count: x\n", 4, 12),
        ("s.json", '{"stages": {"a": {\n "type": "tick",\n "count": "x"}}}', 3, 11),
        ("s.toml", '[stages.a]\ntype = "tick"\ncount = "x"\n', 3, 1),
    ],
)
def test_a_wrong_value_has_its_place_in_each_format(
    tmp_path: Path, name: str, text: str, line: int, column: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_file(write(tmp_path, name, text), environ={}, imports=False, catalogue=catalogue())
    assert [(found.code, found.line, found.column) for found in caught.value.findings] == [("bad-value", line, column)]


@pytest.mark.usefixtures("_search_path")
def test_functions_are_looked_for_beside_the_file_then_in_its_python_path(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for folder, found in ((tmp_path, "beside"), (tmp_path / "lib", "lib")):
        write(folder, "config_functions_one.py", f"def f(event):\n    return {found!r}\n")
    write(tmp_path / "lib", "config_functions_two.py", "def f(event):\n    return 'two'\n")
    text = """\
python_path: lib
stages:
  t: {type: tick}
  a: {type: change, subscribe_to: t, call: "config_functions_one:f"}
  b: {type: change, subscribe_to: t, call: "config_functions_two:f"}
"""
    config = load_file(write(tmp_path, "shop.yaml", text), environ={}, catalogue=catalogue())
    assert sys.path[:2] == [str(tmp_path), str(tmp_path / "lib")]
    changes = [stage.type.make(stage.options) for stage in config.stages[1:]]
    assert [change.handle_events([1]) for change in changes if isinstance(change, Change)] == [["beside"], ["two"]]
    sys.path.insert(0, "elsewhere")
    load_file(tmp_path / "shop.yaml", environ={}, catalogue=catalogue())
    assert sys.path[:3] == [str(tmp_path), str(tmp_path / "lib"), "elsewhere"]
    assert sys.path.count(str(tmp_path)) == 1


def test_without_imports_nothing_is_imported_and_the_search_path_stays(tmp_path: Path) -> None:
    write(tmp_path, "config_functions_three.py", "raise SystemExit")
    text = "stages: {t: {type: tick}, a: {type: change, subscribe_to: t, call: 'config_functions_three:f'}}"
    before = list(sys.path)
    load_file(write(tmp_path, "shop.yaml", text), environ={}, imports=False, catalogue=catalogue())
    assert sys.path == before
    assert "config_functions_three" not in sys.modules


@pytest.mark.usefixtures("_search_path")
def test_an_import_that_fails_is_a_finding_at_its_name(tmp_path: Path) -> None:
    write(tmp_path, "config_functions_four.py", "\nraise ValueError('no')\n")
    text = """\
stages:
  t: {type: tick}
  a: {type: change, subscribe_to: t, call: "config_functions_four:f"}
  b: {type: change, subscribe_to: t, call: "json:dmps"}
"""
    with pytest.raises(ConfigError) as caught:
        load_file(write(tmp_path, "shop.yaml", text), environ={}, catalogue=catalogue())
    first, second = caught.value.findings
    assert (first.code, first.line, first.column) == ("bad-import", 3, 45)
    assert f"raises ValueError in {tmp_path / 'config_functions_four.py'}, line 2" in first.message
    assert (second.line, second.column, second.suggestion) == (4, 50, "json:dumps")


@pytest.mark.usefixtures("_search_path")
def test_functions_are_found_although_another_key_at_the_top_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    write(tmp_path / "lib", "config_functions_five.py", "def f(event):\n    return event\n")
    text = """\
nam: x
python_path: [lib, 5, "a\\0b"]
stages:
  t: {type: tick}
  a: {type: change, subscribe_to: t, call: "config_functions_five:f"}
"""
    path = write(tmp_path, "shop.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_file(path, environ={}, catalogue=catalogue())
    assert [found.code for found in caught.value.findings] == ["unknown-key", "bad-value"]


def test_all_files_are_checked_although_the_first_is_wrong(tmp_path: Path) -> None:
    paths = [
        tmp_path / "missing.yaml",
        write(tmp_path, "b.yaml", "stages: {a: {type: tik}}"),
        write(tmp_path, "c.yaml", GOOD),
    ]
    with pytest.raises(ConfigError) as caught:
        load_files(paths, environ={}, imports=False, catalogue=catalogue())
    assert [(found.file, found.code) for found in caught.value.findings] == [
        (str(paths[0]), "missing-file"),
        (str(paths[1]), "unknown-type"),
    ]


def test_two_pipelines_of_one_name_are_a_finding_in_the_second(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "a.yaml", f"name: shop\n{GOOD}"),
        write(tmp_path, "b.yaml", f"# x\nname: shop\nlisten: off\n{GOOD}"),
    ]
    with pytest.raises(ConfigError) as caught:
        load_files(paths, environ={}, imports=False, catalogue=catalogue())
    (found,) = caught.value.findings
    assert (found.code, found.file, found.line, found.column) == ("duplicate-name", str(paths[1]), 2, 7)


def test_files_side_by_side_come_back_in_their_order(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, f"listen: off\n{GOOD}") for name in ("b.yaml", "a.yaml")]
    configs = load_files(paths, environ={}, imports=False, catalogue=catalogue())
    assert [config.name for config in configs] == ["b", "a"]


def test_a_file_name_that_is_no_name_for_a_pipeline_gives_it_none(tmp_path: Path) -> None:
    path = write(tmp_path, "my shop.yaml", GOOD)
    assert load_file(path, environ={}, imports=False, catalogue=catalogue()).name == "pipeline"


def test_variables_come_from_the_environment_and_files_from_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_TEST_COUNT", "7")
    write(tmp_path, "rate", "5/s\n")
    text = "stages:\n  a:\n    type: tick\n    count: ${HEADRACE_TEST_COUNT}\n    rate: ${file:rate}\n"
    options = load_file(write(tmp_path, "shop.yaml", text), imports=False, catalogue=catalogue()).stages[0].options
    assert options.model_dump(include={"count"}) == {"count": 7}
    assert load_text(text, folder=tmp_path, imports=False, catalogue=catalogue()).stages[0].options == options


@given(st.binary() | st.text().map(lambda text: GOOD.encode() + text.encode(errors="surrogatepass")))
def test_any_bytes_are_a_config_or_findings(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    findings, config = [], None
    try:
        config = load_file(path, environ={}, imports=False, catalogue=catalogue())
    except ConfigError as error:
        findings = list(error.findings)
    assert (config is None) is bool(findings)
