"""`headrace run` in a process of its own: what it prints where, and its exit code."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.console.cli.command import HEADRACE, NUMBERS, Command, ask, document, run, started, write

TALLY = """\
name: tally
listen: 127.0.0.1:0
stages:
  numbers: {type: generate, count: 1000}
  even: {type: filter, subscribe_to: numbers, where: "event % 2 == 0"}
  tally:
    type: count_metrics
    subscribe_to: even
    metrics:
      - {counter: tally_numbers_total, labels: {digit: "event % 10"}}
"""

CALLING = """\
listen: 127.0.0.1:0
stages:
  numbers: {type: generate, count: 10}
  called: {type: map, subscribe_to: numbers, call: "shop:FUNCTION"}
  sink: {type: discard, subscribe_to: called}
"""

SHOP = """\
import asyncio, sys

def refuse(event):
    raise ValueError("no price")

def interrupt(event):
    raise KeyboardInterrupt

async def wait(event):
    print("waiting", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

def spin(event):
    print("spinning", file=sys.stderr, flush=True)
    while True:
        pass
"""


def calling(folder: Path, function: str) -> None:
    write(folder, a_yaml=CALLING.replace("FUNCTION", function), shop_py=SHOP)


def test_a_run_that_completes_exits_0_and_its_json_says_what_went_through(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY)
    done = run(tmp_path, "run", "a.yaml", "--json")
    found = document(done.stdout)
    assert done.returncode == 0
    assert (found["pipeline"], found["exit_code"]) == ("tally", 0)
    stages = {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}
    assert (stages["even"]["received"], stages["even"]["sent"]) == (1000, 500)
    assert stages["even"]["discarded"]["filtered"] == 500
    samples = json.loads(done.stdout)["metrics"][0]["samples"]
    assert {sample["labels"]["digit"]: sample["value"] for sample in samples} == dict.fromkeys("02468", 100)


def test_away_from_a_terminal_it_writes_json_logs_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY)
    done = run(tmp_path, "run", "a.yaml")
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert [sorted(line) for line in logged] == [["level", "message", "pipeline", "time"]] * 2
    assert logged[0]["message"].startswith("listening on http://127.0.0.1:")


def test_progress_and_summary_can_be_asked_for_anywhere(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY)
    done = run(tmp_path, "run", "a.yaml", "--progress", "--summary")
    assert done.returncode == 0
    assert "tally completed: numbers 1,000, even 1,000, tally 500" in done.stderr
    assert done.stdout.startswith("tally: all stages have completed")
    assert "filtered 500" in done.stdout
    assert "tally_numbers_total (counter)" in done.stdout
    assert "headrace validate a.yaml" in done.stdout


def test_on_a_terminal_progress_is_one_line_that_changes(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*HEADRACE, "run", "a.yaml"],
        cwd=tmp_path,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "tally completed: numbers 1,000, even 1,000, tally 500" in shown
    assert '{"time"' not in shown
    assert "listening on http://127.0.0.1:" in shown


def test_the_log_says_the_address_as_it_is_configured(tmp_path: Path) -> None:
    door = 'listen: {address: "0.0.0.0:0", token: qX7vN2pLr9TzKc4WmB8sHd3FgJ6yAe5U}'
    write(tmp_path, a_yaml=TALLY.replace("listen: 127.0.0.1:0", door))
    done = run(tmp_path, "run", "a.yaml")
    first = json.loads(done.stderr.splitlines()[0])["message"]
    assert re.fullmatch(
        r"listening on http://0\.0\.0\.0:(\d+) \(each address of this machine; from here http://127\.0\.0\.1:\1\)",
        first,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, a_yaml=NUMBERS)
    with started(tmp_path, "run", "a.yaml") as command:
        url = command.url()
        command.wait_until_ready(url)
        command.process.send_signal(number)
        code, _, stderr = command.end()
    assert code == 0
    assert "drained: all that was taken in went through" in stderr


def test_a_run_whose_terminal_goes_drains_and_exits_0(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS.replace("type: discard", "type: write_lines, path: out.txt"))
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", *HEADRACE, "run", "a.yaml", "--summary"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"tally running: numbers 1" not in shown:
            shown += os.read(ours, 1000)
        os.close(ours)
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert (process.returncode, lines) == (0, [str(number) for number in range(len(lines))])


def test_a_run_that_was_told_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS)
    shell = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *HEADRACE, "run", "a.yaml"]
    with subprocess.Popen(shell, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        command = Command(process)
        url = command.url()
        command.wait_until_ready(url)
        process.send_signal(signal.SIGHUP)
        command.wait_until_ready(url)
        process.send_signal(signal.SIGTERM)
        assert command.end()[0] == 0


def test_a_run_without_a_terminal_goes_on_at_a_hangup_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS)
    with subprocess.Popen(
        [*HEADRACE, "run", "a.yaml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        command = Command(process)
        url = command.url()
        command.wait_until_ready(url)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            command.until("reload is not supported yet")
        command.wait_until_ready(url)
        process.send_signal(signal.SIGTERM)
        assert command.end()[0] == 0


def test_a_finite_run_that_is_to_go_on_for_ever_can_be_scraped_until_a_signal(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY)
    with started(tmp_path, "run", "a.yaml", "--forever") as command:
        url, wanted = (
            command.url(),
            'headrace_stage_events_received_total{kind="consumer",pipeline="tally",stage="tally"} 500.0',
        )
        while wanted not in ask(f"{url}/metrics")[1]:
            assert command.process.poll() is None
        while '"state":"completed"' not in ask(f"{url}/ready")[1]:
            assert command.process.poll() is None
        assert ask(f"{url}/ready")[0] == 200
        command.process.send_signal(signal.SIGTERM)
        code, _, stderr = command.end()
    assert code == 0
    assert "all events went through" in stderr


def test_it_answers_while_it_runs(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS)
    with started(tmp_path, "run", "a.yaml") as command:
        url = command.url()
        command.wait_until_ready(url)
        health, (status, metrics) = ask(f"{url}/health"), ask(f"{url}/metrics")
        command.process.send_signal(signal.SIGTERM)
        command.end()
    assert health[0] == 200
    assert status == 200
    assert 'headrace_stage_events_sent_total{kind="producer",pipeline="tally",stage="numbers"}' in metrics


def test_while_it_drains_it_is_alive_and_not_ready_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    calling(tmp_path, "wait")
    with started(tmp_path, "run", "a.yaml") as command:
        url = command.url()
        command.until("waiting")
        command.process.send_signal(signal.SIGTERM)
        command.until("draining")
        ready, health = ask(f"{url}/ready"), ask(f"{url}/health")
        command.process.send_signal(signal.SIGTERM)
        code, _, stderr = command.end()
    assert (ready[0], health[0]) == (503, 200)
    assert code == 1
    assert "a second signal ended it before it was drained" in stderr
    assert "Traceback" not in stderr


def test_a_drain_that_takes_too_long_exits_1(tmp_path: Path) -> None:
    calling(tmp_path, "wait")
    with started(tmp_path, "run", "a.yaml", "--drain-seconds", "0.05") as command:
        command.until("waiting")
        command.process.send_signal(signal.SIGTERM)
        code, _, stderr = command.end()
    assert code == 1
    assert "was not drained after 0.05 s" in stderr
    assert "did not end; for longer drains raise --drain-seconds, or set `dead_letters:`" in stderr
    assert "got lost on the way" in stderr


def test_a_callback_that_never_gives_way_is_ended_by_the_third_signal(tmp_path: Path) -> None:
    calling(tmp_path, "spin")
    with started(tmp_path, "run", "a.yaml") as command:
        command.until("spinning")
        while command.process.poll() is None:
            command.process.send_signal(signal.SIGTERM)
        code, _, _ = command.end()
    assert code == -signal.SIGTERM


def test_a_keyboard_interrupt_in_a_callback_drains(tmp_path: Path) -> None:
    calling(tmp_path, "interrupt")
    done = run(tmp_path, "run", "a.yaml")
    assert done.returncode == 1
    assert "drains, because of KeyboardInterrupt in a callback" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(20)
def test_what_an_interrupt_in_a_callback_drains_has_the_drain_seconds_and_no_more(tmp_path: Path) -> None:
    calling(tmp_path, "interrupt")
    config = (tmp_path / "a.yaml").read_text()
    stuck = (
        '  stuck: {type: map, subscribe_to: numbers, call: "shop:wait"}\n  end: {type: discard, subscribe_to: stuck}\n'
    )
    write(tmp_path, a_yaml=config + stuck)
    done = run(tmp_path, "run", "a.yaml", "--drain-seconds", "0.1")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "got lost on the way" in done.stderr


def test_events_that_fail_exit_1_with_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    calling(tmp_path, "refuse")
    done = run(tmp_path, "run", "a.yaml")
    assert done.returncode == 1
    assert done.stderr.count("ValueError: no price") == 1
    assert "10 events failed, and went no further" in done.stderr
    assert "Traceback" not in done.stderr


def test_debugging_shows_the_traceback_of_an_event_that_fails(tmp_path: Path) -> None:
    calling(tmp_path, "refuse")
    done = run(tmp_path, "run", "a.yaml", "--log-level", "debug")
    assert "Traceback" in done.stderr
    assert "in refuse" in done.stderr


def test_a_wrong_config_exits_78_with_everything_that_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY.replace("generate", "genrate").replace("where", "wher"))
    done = run(tmp_path, "run", "a.yaml")
    assert done.returncode == 78
    assert "a.yaml:4:19: unknown-type: " in done.stderr
    assert "a.yaml:5:47: unknown-key: " in done.stderr
    assert done.stdout == ""


def test_a_wrong_config_is_json_for_whoever_asks_for_it(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TALLY.replace("generate", "genrate"))
    done = run(tmp_path, "run", "a.yaml", "--json")
    assert done.returncode == 78
    found = json.loads(done.stdout)
    assert [finding["code"] for finding in found["findings"]] == ["unknown-type"]
    assert done.stderr == ""


def test_a_missing_file_exits_78_and_names_it(tmp_path: Path) -> None:
    done = run(tmp_path, "run", "nowhere.yaml")
    assert done.returncode == 78
    assert "nowhere.yaml:1:1: missing-file: " in done.stderr


def test_a_stage_that_cannot_open_exits_1_with_one_sentence(tmp_path: Path) -> None:
    text = "listen: off\nstages:\n  a: {type: read_lines, path: nowhere.txt}\n  b: {type: discard, subscribe_to: a}\n"
    write(tmp_path, a_yaml=text)
    done = run(tmp_path, "run", "a.yaml")
    assert done.returncode == 1
    assert "nowhere.txt" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_exits_1_with_one_sentence_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write(tmp_path, a_yaml=NUMBERS.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        done = run(tmp_path, "run", "a.yaml", "--progress")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}: another program has that port" in line


@pytest.mark.parametrize(
    "arguments", [[], ["a.yaml", "b.yaml"], ["a.yaml", "--no-such-option"], ["a.yaml", "--drain-seconds", "-1"]]
)
def test_wrong_usage_exits_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, "run", *arguments)
    assert done.returncode == 2
    assert "headrace run --help" in done.stderr


def test_a_token_opens_the_metrics_and_stands_in_no_output(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS.replace("127.0.0.1:0", '{address: "127.0.0.1:0", token: canary-5f2a}'))
    with started(tmp_path, "run", "a.yaml", "--log-level", "debug", "--json") as command:
        url = command.url()
        command.wait_until_ready(url)
        statuses = [ask(f"{url}{path}")[0] for path in ("/metrics", "/", "/health")]
        command.process.send_signal(signal.SIGTERM)
        code, stdout, stderr = command.end()
    assert statuses == [401, 401, 200]
    assert code == 0
    assert "canary-5f2a" not in stdout + stderr
