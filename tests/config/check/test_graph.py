"""What is wrong with edges, as a whole."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.files import load_file, load_text
from headrace.config.text.findings import ConfigError, Finding
from tests.config.configs import config_of, findings_of
from tests.fakes.config_stages import catalogue


def test_a_circle_is_named_in_full_at_one_of_its_subscriptions() -> None:
    (found,) = findings_of(
        """\
stages:
  a: {type: change, subscribe_to: c}
  b: {type: change, subscribe_to: [t, a]}
  c: {type: change, subscribe_to: {stage: b}}
  t: {type: tick}
"""
    )
    assert (found.code, found.line, found.column) == ("circle", 2, 35)
    assert "a -> c -> b -> a" in found.message


def test_circles_that_share_no_stage_are_all_named() -> None:
    findings = findings_of(
        """\
stages:
  a: {type: change, subscribe_to: b}
  b: {type: change, subscribe_to: a}
  c: {type: change, subscribe_to: [c, a]}
"""
    )
    assert [(found.code, found.line) for found in findings] == [("circle", 2), ("circle", 4)]


def test_an_unknown_stage_comes_with_the_known_ones() -> None:
    (found,) = findings_of("stages:\n  visits: {type: tick}\n  b: {type: tally, subscribe_to: visit}")
    assert found.allowed == ("visits", "b")
    assert found.suggestion == "visits"
    assert found.found == "visit"


def test_a_selector_needs_a_stage_that_broadcasts() -> None:
    text = (
        "stages:\n  a: {type: tick, dispatcher: demand}\n  b: {type: tally, subscribe_to: {stage: a, selector: event}}"
    )
    (found,) = findings_of(text)
    assert (found.code, found.line, found.column) == ("misplaced-key", 3, 45)
    assert "`dispatcher: demand`" in found.message
    config = config_of(text.replace("dispatcher: demand", "dispatcher: broadcast"))
    assert config.stages[1].keys.subscribe_to[0].selector is not None


def test_edges_are_checked_although_other_keys_of_the_stage_are_wrong() -> None:
    findings = findings_of("stages:\n  a: {type: tick}\n  b: {type: tally, subscribe_to: {stage: x, max_demand: 0}}")
    assert [found.code for found in findings] == ["unknown-stage", "bad-value"]


NAMES = st.sampled_from("abcde")


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3, unique=True), min_size=1))
def test_any_graph_is_sound_or_told_about(edges: dict[str, list[str]]) -> None:
    lines = [f"  {name}: {{type: change, subscribe_to: [{', '.join([*to, 'source'])}]}}" for name, to in edges.items()]
    text = "\n".join(["stages:", "  source: {type: tick}", *lines])
    unknown = {to for many in edges.values() for to in many} - set(edges)
    try:
        config_of(text)
    except ConfigError as error:
        codes = {found.code for found in error.findings}
    else:
        codes = set()
    assert ("unknown-stage" in codes) is bool(unknown)
    assert ("circle" in codes) is _has_circle(edges)
    assert codes <= {"unknown-stage", "circle"}


def _has_circle(edges: dict[str, list[str]]) -> bool:
    rest = {name: set(to) & set(edges) for name, to in edges.items()}
    while free := [name for name, to in rest.items() if not to & set(rest)]:
        for name in free:
            rest.pop(name)
    return bool(rest)


def unheard(folder: Path, text: str) -> list[Finding]:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_file(folder / "a.yaml", environ={}, imports=False, catalogue=catalogue(), runs_alone=True)
    return list(caught.value.findings)


def test_a_stage_that_emits_to_nobody_is_named_where_the_config_runs_alone(tmp_path: Path) -> None:
    text = "stages:\n  t: {type: tick}\n  a: {type: change, subscribe_to: t}\n  u: {type: tick}\n"
    found = unheard(tmp_path, text)
    places = [(one.code, one.line, one.column) for one in found]
    assert places == [("nobody-subscribes", 3, 3), ("nobody-subscribes", 4, 3)]
    assert found[0].message.startswith("no stage subscribes to a, so it would wait for ever: subscribe one to it")
    assert len(config_of(text).stages) == 3  # the program around it may read the rest


@pytest.mark.parametrize("subscribe_to", ["tt", "[t, 7]", "{stage: [u]}", "${WHO}"])
def test_no_stage_is_called_unheard_where_a_subscription_cannot_be_read(tmp_path: Path, subscribe_to: str) -> None:
    stages = f"  t: {{type: tick}}\n  u: {{type: tick}}\n  z: {{type: tally, subscribe_to: {subscribe_to}}}\n"
    codes = {one.code for one in unheard(tmp_path, f"stages:\n{stages}")}
    assert codes
    assert "nobody-subscribes" not in codes


@pytest.mark.parametrize(
    ("answer", "batch", "is_told"),
    [
        ("done", "max_events: 5", True),
        ("done", "max_events: 1", False),
        ("done", "max_events: 5, period: 1s", False),
        ("accepted", "max_events: 5", False),
    ],
)
def test_a_stage_that_gathers_what_somebody_waits_for_is_told(answer: str, batch: str, *, is_told: bool) -> None:
    text = (
        "listen: off\nstages:\n"
        f"  hits: {{type: receive_http, listen: '127.0.0.1:0', answer: {answer}}}\n"
        "  kept: {type: map, subscribe_to: hits, set: {n: 1}}\n"
        f"  packs: {{type: batch, subscribe_to: kept, {batch}}}\n"
        "  sink: {type: discard, subscribe_to: packs}\n"
    )
    if not is_told:
        assert load_text(text, environ={}).stages
        return
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={})
    (finding,) = caught.value.findings
    assert (finding.code, finding.line) == ("waits-for-ever", 5)
    assert "packs may hold 5 events until others come, and senders to hits wait" in finding.message
