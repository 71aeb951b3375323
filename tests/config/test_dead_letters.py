"""The key `dead_letters:`, in all its spellings, and what is said of a wrong one."""

from pathlib import Path

import pytest

from headrace.config.check.config import Config
from headrace.config.files import load_text
from headrace.config.pipeline import Pipeline
from headrace.config.schema import schema
from headrace.config.stage_types import StageTypes
from headrace.config.text.findings import ConfigError
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore, dead_letters_of
from headrace.dead_letters.store import DeadLetterFilter, DeadLetterLimits

STAGES = "stages: {a: {type: generate, count: 1}, b: {type: discard, subscribe_to: a}}\n"


def _checked(said: str) -> Config:
    return load_text(f"{STAGES}dead_letters: {said}", environ={"BIG": "1GiB"})


def _store(said: str) -> SqliteDeadLetterStore:
    keys = _checked(said).dead_letters
    assert keys is not None
    store = dead_letters_of(keys.store, keys.limits())
    assert isinstance(store, SqliteDeadLetterStore)
    return store


def test_without_the_key_nothing_is_kept_and_off_says_the_same() -> None:
    assert load_text(STAGES).dead_letters is None
    assert _checked("off").dead_letters is None


def test_a_url_alone_keeps_them_within_the_usual_bounds() -> None:
    store = _store("sqlite:///var/dead.db")
    assert store.path == Path("var/dead.db")
    assert store.bounds == DeadLetterLimits(30 * 86_400.0, 100 * 1024 * 1024, 1_000_000)


def test_the_long_form_has_bounds_of_its_own() -> None:
    store = _store("{store: 'sqlite:////var/lib/dead%20letters.db', max_age: 7d, max_size: '${BIG}', max_events: 10}")
    assert store.path == Path("/var/lib/dead letters.db")
    assert store.bounds == DeadLetterLimits(7 * 86_400.0, 1024**3, 10)


WRONG = [
    ("dead.db", "`dead_letters` is no SQLite file: write sqlite:///var/dead.db"),
    ("postgresql://host/db", "is no SQLite file"),
    ("sqlite:///dead.db?mode=ro", "has no options behind its path"),
    ("{max_age: 1d}", "`dead_letters` needs `store:`"),
    ("{store: 'sqlite:///d.db', max_age: 0s}", "`dead_letters.max_age` must be more than 0s"),
    ("{store: 'sqlite:///d.db', max_age: 30}", "`dead_letters.max_age` has no unit"),
    ("{store: 'sqlite:///d.db', max_size: 1KiB}", "`dead_letters.max_size` must be 64KiB or more"),
    ("{store: 'sqlite:///d.db', max_events: 0}", "`dead_letters.max_events` must be 1 or more"),
    ("{store: 'sqlite:///d.db', max_ages: 1d}", "`dead_letters` has no key `max_ages`"),
    ("[a]", "or the word off"),
    ("true", "or the word off"),
]


@pytest.mark.parametrize(("said", "why"), WRONG)
def test_what_is_wrong_is_said_where_it_stands(said: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _checked(said)
    (finding,) = raised.value.findings
    assert why in str(finding)
    assert finding.line == 2


def test_editors_are_told_of_both_spellings() -> None:
    made = schema(StageTypes.installed())
    properties, definitions = made["properties"], made["$defs"]
    assert isinstance(properties, dict)
    assert isinstance(definitions, dict)
    assert properties["dead_letters"]["anyOf"] == [{"type": "string"}, {"$ref": "#/$defs/DeadLettersKeys"}]
    keys = definitions["DeadLettersKeys"]["properties"]
    assert (keys["max_age"]["default"], keys["max_size"]["default"]) == ("30d", "100MiB")


@pytest.mark.asyncio
async def test_a_pipeline_of_a_config_keeps_what_its_stages_give_up_and_takes_it_again(tmp_path: Path) -> None:
    text = f"""
name: shop
listen: off
dead_letters: sqlite:///{tmp_path / "dead.db"}
stages:
  numbers: {{type: generate, count: 3, template: {{number: event.n}}}}
  halves: {{type: map, subscribe_to: numbers, set: {{half: 1 / (event.number - 1)}}}}
  end: {{type: discard, subscribe_to: halves}}
"""
    outcome = await Pipeline.from_text(text).run()
    assert outcome.is_completed
    store = dead_letters_of(f"sqlite:///{tmp_path / 'dead.db'}")
    await store.open()
    assert await store.request_replay(DeadLetterFilter()) == 1
    await Pipeline.from_text(text).run()
    old, new = await store.find(DeadLetterFilter(), 9, is_newest_first=False)
    assert (old.pipeline, old.stage, old.event) == ("shop", "halves", '{"number":1}')
    assert "division by zero" in old.error
    assert (old.attempts, new.attempts) == (2, 1)
    await store.close()
