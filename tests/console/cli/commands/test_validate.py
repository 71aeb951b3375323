"""`headrace validate`: what files describe, or all that is wrong in them."""

import json
from pathlib import Path

import pytest

from tests.console.cli.command import NUMBERS, run, write

TALLY = """\
name: tally
listen: off
stages:
  numbers: {type: generate, count: 10}
  called: {type: map, subscribe_to: {stage: numbers, max_demand: 50}, call: "shop:price"}
  tally:
    type: count_metrics
    subscribe_to: [called, {stage: numbers, min_demand: 3}]
    metrics: [{counter: tally_numbers_total}]
"""
SHOP = "open('imported', 'w').close()\n\ndef price(event):\n    return event\n"


def test_a_file_that_is_fine_is_described_stage_by_stage(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY, shop_py=SHOP)
    done = run(tmp_path, "validate", "a.yaml")
    assert done.returncode == 0
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "a.yaml: fine. The pipeline tally does not listen and has 3 stages:",
        "  numbers  generate",
        "  called   map            <- numbers (max_demand 50)",
        "  tally    count_metrics  <- called, numbers (min_demand 3)",
        "           exports tally_numbers_total",
        "  numbers -> tally: at-most-once, because a generate stage cannot send an event again",
    ]
    assert done.stderr == ""


def test_functions_are_imported_unless_told_not_to(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY, shop_py=SHOP)
    done = run(tmp_path, "validate", "a.yaml", "--no-import")
    assert done.returncode == 0
    assert "without --no-import" in done.stdout
    assert not (tmp_path / "imported").exists()
    run(tmp_path, "validate", "a.yaml")
    assert (tmp_path / "imported").exists()


def test_a_function_that_is_not_there_is_found_only_by_importing(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY.replace("shop:price", "shop:prize"), shop_py=SHOP)
    assert run(tmp_path, "validate", "a.yaml", "--no-import").returncode == 0
    done = run(tmp_path, "validate", "a.yaml")
    assert done.returncode == 78
    assert "bad-import" in done.stderr


def test_everything_that_is_wrong_in_several_files_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS.replace("1000/s", "often"), b_yaml=NUMBERS.replace("discard", "discrad"))
    done = run(tmp_path, "validate", "a.yaml", "b.yaml", "c.yaml")
    assert done.returncode == 78
    assert done.stdout == ""
    named = [
        line.split(":")[0] for line in done.stderr.splitlines() if line.startswith(("a.yaml:", "b.yaml:", "c.yaml:"))
    ]
    assert named == ["a.yaml", "b.yaml", "c.yaml"]


def test_files_that_are_fine_alone_may_not_be_together(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS, b_yaml=NUMBERS)
    assert run(tmp_path, "validate", "a.yaml").returncode == 0
    done = run(tmp_path, "validate", "a.yaml", "b.yaml")
    assert done.returncode == 78
    assert "duplicate-name" in done.stderr


def test_json_has_stages_edges_and_metrics(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY, shop_py=SHOP)
    done = run(tmp_path, "validate", "a.yaml", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], found["findings"]) == (0, 0, [])
    (file,) = found["files"]
    assert (file["file"], file["pipeline"], file["listen"]) == ("a.yaml", "tally", None)
    assert file["stages"][1] == {
        "stage": "called",
        "type": "map",
        "kind": "producer_consumer",
        "subscribe_to": [{"stage": "numbers", "max_demand": 50, "min_demand": 25, "cancel": "temporary"}],
    }
    assert file["metrics"] == [{"metric": "tally_numbers_total", "kind": "counter", "stage": "tally"}]


def test_json_has_all_findings_and_stderr_nothing(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS.replace("1000/s", "often").replace("discard", "discrad"))
    done = run(tmp_path, "validate", "a.yaml", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], done.stderr) == (78, 78, "")
    assert {finding["code"] for finding in found["findings"]} == {"bad-value", "unknown-type"}
    assert all(finding["file"] == "a.yaml" and finding["line"] > 0 for finding in found["findings"])


def test_no_option_of_a_stage_and_no_token_is_printed(tmp_path: Path) -> None:
    text = NUMBERS.replace("127.0.0.1:0", '{address: "0.0.0.0:0", token: canary-5f2a-of-a-mine}').replace(
        "discard,", "write_lines, path: canary-5f2a,"
    )
    write(tmp_path, a_yaml=text)
    for arguments in (["--json"], []):
        done = run(tmp_path, "validate", "a.yaml", *arguments)
        assert done.returncode == 0
        assert "canary" not in done.stdout + done.stderr


def test_no_file_is_wrong_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "validate").returncode == 2


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_stage_that_nobody_takes_from_is_78(tmp_path: Path, command: str) -> None:
    write(tmp_path, a_yaml="stages:\n  numbers: {type: generate, count: 10}\n")
    done = run(tmp_path, command, "a.yaml")
    assert done.returncode == 78
    assert "a.yaml:2:3: nobody-subscribes: no stage subscribes to numbers" in done.stderr
