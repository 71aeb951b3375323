"""`headrace dead-letters`: its words, its filters, what it asks before it changes many, and a run that takes them."""

import asyncio
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.console.cli.commands.dead_letters import printable
from headrace.console.cli.main import make_app
from headrace.dead_letters.dead_letter import NewDeadLetter
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import UNBOUNDED
from tests.console.cli.command import run, started, write
from tests.fakes.dead_letters import LetterClock, failed

CONFIG = """
name: shop
listen: off
dead_letters: {store: "sqlite:///dead.db", max_age: 36500d}
stages:
  numbers: {type: generate, count: 0}
  halves: {type: map, subscribe_to: numbers, set: {half: 1 / event.number}}
  kept: {type: write_lines, subscribe_to: halves, path: halves.jsonl, encode: json}
"""


async def _fill(path: Path) -> None:
    clock = LetterClock()
    store = SqliteDeadLetterStore(path, UNBOUNDED, now=clock)
    await store.open()
    for number, stage, error in (
        (0, "halves", ZeroDivisionError("by 0")),
        (4, "halves", OSError("gone")),
        (5, "old", OSError("gone")),
    ):
        await store.put([NewDeadLetter("shop", stage, {"number": number}, failed(error), metadata={"offset": number})])
        clock.move(60)
    await store.put([NewDeadLetter("other", "halves", ("a", 1), failed(ValueError("red \x1b[31m")))])
    await store.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a config and a store with three letters of its pipeline, and one of another's, in the current folder."""
    write(tmp_path, shop_yaml=CONFIG)
    asyncio.run(_fill(tmp_path / "dead.db"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words: str) -> Result:
    return CliRunner().invoke(make_app(), ["dead-letters", *words])


def told(*words: str) -> dict[str, object]:
    result = called(*words, "--json")
    found: dict[str, object] = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def ids(*words: str) -> list[int]:
    letters = told("list", *words)["dead_letters"]
    assert isinstance(letters, list)
    return [letter["id"] for letter in letters]


@pytest.mark.usefixtures("folder")
def test_letters_are_listed_the_newest_first_and_by_what_they_have_in_common() -> None:
    assert ids("shop.yaml") == [3, 2, 1]
    assert ids("shop.yaml", "--stage", "halves") == [2, 1]
    assert ids("shop.yaml", "--error", "OSError", "--stage", "halves", "--stage", "old") == [3, 2]
    assert ids("shop.yaml", "--older", "1s") == [3, 2, 1]
    assert ids("shop.yaml", "--older", "1000w") == []
    assert ids("shop.yaml", "--limit", "2") == [3, 2]
    assert ids("shop.yaml", "--before", "2") == [1]
    assert ids("shop.yaml", "--waiting") == []
    assert ids("--store", "sqlite:///dead.db") == [4, 3, 2, 1]


def test_a_variable_that_only_stages_use_need_not_be_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET_HERE", raising=False)
    (folder / "shop.yaml").write_text(CONFIG.replace("halves.jsonl", '"${UNSET_HERE}/halves.jsonl"'))
    assert ids("shop.yaml") == [3, 2, 1]
    assert told("replay", "shop.yaml", "--all", "--yes")["no_stage"] == ["old"]


def test_a_store_behind_an_unset_variable_can_be_named_instead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSET_HERE", raising=False)
    (folder / "shop.yaml").write_text(CONFIG.replace("sqlite:///dead.db", "${UNSET_HERE}"))
    result = called("list", "shop.yaml")
    assert result.exit_code == 78
    assert "the variable UNSET_HERE is not set" in result.stderr
    assert "leave the file out and give --store URL" in result.stderr


@pytest.mark.usefixtures("folder")
def test_a_list_is_for_people_too() -> None:
    result = called("list", "shop.yaml", "--limit", "2")
    assert result.exit_code == 0
    assert '{"number":5}' in result.stdout
    assert "OSError: gone" in result.stdout
    assert "2 of 3 dead letters" in result.stdout
    assert "--before 2" in result.stdout
    everybody = called("list", "--store", "sqlite:///dead.db").stdout
    assert "other" in everybody
    assert "not replayable" in everybody
    assert "\x1b" not in everybody


@pytest.mark.usefixtures("folder")
def test_a_letter_is_shown_with_its_traceback() -> None:
    letters = told("show", "shop.yaml", "2")["dead_letters"]
    assert isinstance(letters, list)
    (letter,) = letters
    assert (letter["event"], letter["form"], letter["metadata"]) == ({"number": 4}, "json", {"offset": 4})
    assert letter["error"]["type"] == "OSError"
    assert "Traceback" in letter["error"]["traceback"]
    shown = called("show", "shop.yaml", "1", "2").stdout
    assert "ZeroDivisionError: by 0" in shown
    assert "Traceback" in shown
    assert "not replayable" in called("show", "--store", "sqlite:///dead.db", "4").stdout


@pytest.mark.usefixtures("folder")
def test_a_letter_of_another_pipeline_is_not_there_for_a_config() -> None:
    for number in ("4", "99999"):
        error = str(told("show", "shop.yaml", number)["error"])
        assert (
            error == f"the pipeline shop has no dead letter {number}: see which there are by headrace dead-letters list"
        )
    assert told("drop", "shop.yaml", "4") == {"exit_code": 1, "changed": 0, "unchanged": 1, "no_stage": []}


@pytest.mark.usefixtures("folder")
def test_letters_are_dropped_by_their_numbers_at_once_and_by_a_filter_after_a_yes() -> None:
    assert told("drop", "shop.yaml", "1", "99") == {"exit_code": 1, "changed": 1, "unchanged": 1, "no_stage": []}
    refused = called("drop", "shop.yaml", "--error", "OSError")
    assert refused.exit_code == 2
    assert "2 dead letters match. Add --yes to drop them" in refused.stderr
    assert "--yes" in refused.stderr
    assert told("drop", "shop.yaml", "--all", "--yes")["changed"] == 2
    assert ids("--store", "sqlite:///dead.db") == [4]


@pytest.mark.usefixtures("folder")
def test_letters_are_marked_for_a_replay_and_that_may_be_called_off() -> None:
    assert told("replay", "shop.yaml", "2", "--rate", "10/s")["changed"] == 1
    assert ids("shop.yaml", "--waiting") == [2]
    assert "waits for its replay" in called("list", "shop.yaml", "--waiting").stdout
    assert told("replay", "shop.yaml", "--all", "--cancel", "--yes")["changed"] == 1
    assert ids("shop.yaml", "--waiting") == []


@pytest.mark.usefixtures("folder")
def test_validate_says_where_letters_are_kept() -> None:
    said = CliRunner().invoke(make_app(), ["validate", "shop.yaml"])
    assert (said.exit_code, "dead letters are kept in sqlite" in said.stdout) == (0, True)
    (described,) = json.loads(CliRunner().invoke(make_app(), ["validate", "shop.yaml", "--json"]).stdout)["files"]
    assert described["dead_letters"]["store"] == "sqlite"
    assert described["dead_letters"]["max_size_bytes"] == 100 * 1024 * 1024


@pytest.mark.usefixtures("folder")
def test_what_no_stage_of_the_config_could_take_is_said() -> None:
    assert told("replay", "shop.yaml", "--all", "--yes")["no_stage"] == ["old"]
    assert "the config has no stage 'old'" in called("replay", "shop.yaml", "--all", "--yes").stdout


def test_copies_of_a_stage_are_known(folder: Path) -> None:
    write(
        folder,
        shop_yaml=CONFIG.replace("subscribe_to: numbers", "subscribe_to: numbers, concurrency: 2, partition_by: event"),
    )
    assert told("replay", "shop.yaml", "--stage", "halves", "--yes")["no_stage"] == ["halves"]
    with sqlite3.connect("dead.db") as connection:
        connection.execute("update headrace_dead_letters set stage = 'halves.2' where stage = 'halves'")
    connection.close()
    assert told("replay", "shop.yaml", "--stage", "halves.2", "--yes")["no_stage"] == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["list"], "FILE: name the config file or the store"),
        (["list", "shop.yaml", "17"], "unexpected argument '17'"),
        (["show", "shop.yaml"], "NUMBER: name the letters by their numbers"),
        (["show", "shop.yaml", "a"], "'a' is no number of a letter"),
        (["drop", "shop.yaml"], "say which letters to drop: by their numbers, or by --stage"),
        (["replay", "shop.yaml", "1", "--rate", "10"], "--rate: '10' has no unit"),
        (["replay", "shop.yaml", "1", "--rate", "1/s", "--cancel"], "--rate: nothing is replayed with --cancel"),
        (["list", "shop.yaml", "--older", "7"], "--older: '7' has no unit"),
        (["list", "shop.yaml", "--older", "9999999w"], "--older: 9999999w reaches back before the year 1"),
        (["list", "--store", "dead.db"], "--store: the store of dead letters is no SQLite file"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: list[str], why: str) -> None:
    result = called(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_a_config_without_the_key_and_a_file_that_is_not_there_are_said(folder: Path) -> None:
    write(folder, plain_yaml=CONFIG.replace("dead_letters", "#"), new_yaml=CONFIG.replace("dead.db", "new.db"))
    assert "has no key `dead_letters:`" in called("list", "plain.yaml").stderr
    assert "there are no dead letters in new.db yet" in called("list", "new.yaml").stderr
    assert not (folder / "new.db").exists()


@pytest.mark.usefixtures("folder")
def test_looking_drops_nothing_whatever_the_usual_bounds_are() -> None:
    """The letters are older than those."""
    assert ids("--store", "sqlite:///dead.db") == [4, 3, 2, 1]


def test_the_next_run_takes_what_was_marked(folder: Path) -> None:
    assert told("replay", "shop.yaml", "--stage", "halves", "--yes")["changed"] == 2
    result = run(folder, "run", "shop.yaml")
    assert [json.loads(line)["half"] for line in (folder / "halves.jsonl").read_text().splitlines()] == [0.25]
    assert ids("shop.yaml") == [3, 1]
    letters = told("show", "shop.yaml", "1")["dead_letters"]
    assert isinstance(letters, list)
    assert (letters[0]["attempts"], letters[0]["replay_at"]) == (2, None)
    assert result.returncode == 0, result.stderr


def test_a_run_that_is_under_way_takes_what_a_command_marks(folder: Path) -> None:
    write(folder, shop_yaml=CONFIG.replace("count: 0", "rate: 1/d, template: {number: event.n + 1}"))
    with started(folder, "run", "shop.yaml") as command:
        while not (folder / "halves.jsonl").exists():
            pass
        assert told("replay", "shop.yaml", "2")["changed"] == 1
        while 2 in ids("shop.yaml"):
            pass
        command.process.send_signal(signal.SIGTERM)
        _, _, said = command.end()
    halves = [json.loads(line)["half"] for line in (folder / "halves.jsonl").read_text().splitlines()]
    assert 0.25 in halves, said


def test_what_a_terminal_would_obey_is_written_as_an_escape() -> None:
    assert printable("a\x1b[31m\nä\r") == "a\\x1b[31m\nä\\r"


async def _put(stage: str) -> None:
    store = SqliteDeadLetterStore(Path("dead.db"), UNBOUNDED, now=LetterClock())
    await store.open()
    await store.put([NewDeadLetter("shop", stage, 1, failed(OSError("gone")))])
    await store.close()


@pytest.mark.usefixtures("folder")
def test_letters_of_a_stage_that_a_key_makes_are_not_said_to_have_none() -> None:
    buffered = CONFIG.replace("count: 0", "count: 0, buffer: {kind: sqlite, path: hits.db}")
    Path("shop.yaml").write_text(buffered)
    asyncio.run(_put("numbers.kept"))
    assert told("replay", "shop.yaml", "--all", "--yes")["no_stage"] == ["old"]


@pytest.mark.usefixtures("folder")
def test_one_letter_is_said_in_the_singular() -> None:
    assert called("replay", "shop.yaml", "2").stdout.startswith("1 dead letter waits to be replayed")
    assert called("replay", "shop.yaml", "2", "--cancel").stdout == "1 dead letter is no longer to be replayed\n"
    assert called("drop", "shop.yaml", "2").stdout == "1 dead letter dropped\n"
    assert "is left as it is, or not there" in called("drop", "shop.yaml", "2").stdout


def test_a_database_of_somebody_else_is_told_and_gets_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table orders (id integer)")
        result = called("list", "--store", f"sqlite:///{path}")
        tables = connection.execute("select name from sqlite_master").fetchall()
    assert (result.exit_code, tables) == (1, [("orders",)])
    assert f"{path} holds no dead letters: check the path" in result.stderr
