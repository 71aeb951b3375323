"""`headrace stages`, asking a run in a process of its own."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.console.cli.main import make_app
from headrace.console.cli.target import TOKEN_VARIABLE
from tests.console.cli.command import started, write

TOKEN = "sesame-open"  # noqa: S105 - it opens nothing but these tests

SHOP = """\
name: shop
listen: {{address: 127.0.0.1:{port}, token: {token}}}
stages:
  ticks: {{type: generate, rate: 1000/s}}
  loud: {{type: map, subscribe_to: ticks, set: {{n: event}}, concurrency: 2, executor: thread}}
  sink: {{type: discard, subscribe_to: loud}}
"""


def called(*words: str) -> Result:
    return CliRunner().invoke(make_app(), ["stages", *words])


def told(*words: str) -> dict[str, Any]:
    result = called(*words, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code, result.output
    return found


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have a run, and a file that says where it listens, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, first_yaml=SHOP.format(port=0, token=TOKEN))
    with started(tmp_path, "run", "first.yaml", "--forever") as command:
        url = command.url()
        write(tmp_path, shop_yaml=SHOP.format(port=url.rpartition(":")[2], token=TOKEN))
        command.wait_until_ready(url)
        yield url


def stage(name: str) -> dict[str, Any]:
    (found,) = (one for one in told("list", "shop.yaml")["stages"] if one["name"] == name)
    return dict(found)


def test_a_variable_that_only_a_stage_uses_need_not_be_set_to_ask_a_run(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSET_HERE", raising=False)
    text = SHOP.format(port=url.rpartition(":")[2], token=TOKEN).replace("1000/s", '"${UNSET_HERE}"')
    write(tmp_path, shop_yaml=text)
    assert told("list", "shop.yaml")["pipeline"] == "shop"
    write(tmp_path, shop_yaml=text.replace(f"token: {TOKEN}", 'token: "${UNSET_HERE}"'))
    assert "leave the file out and give --url URL" in called("list", "shop.yaml").stderr


def test_stages_of_a_run_are_listed_paused_resumed_and_changed(url: str) -> None:
    listed = told("list", "shop.yaml")
    assert (listed["pipeline"], listed["state"]) == ("shop", "running")
    assert [(one["name"], one["type"]) for one in listed["stages"]] == [
        ("ticks", "generate"),
        ("loud", "map"),
        ("sink", "discard"),
    ]
    assert [one["is_paused"] for one in told("pause", "shop.yaml", "loud", "sink")["stages"]] == [True, True]
    text = called("list", "shop.yaml").stdout
    assert text.count("running, paused") == 2
    assert called("resume", "shop.yaml", "loud", "sink").stdout == "resumed: loud, sink\n"
    assert not stage("sink")["is_paused"]
    words = ("--concurrency", "5", "--buffer-size", "7", "--demand", "ticks=100:20")
    assert called("change", "shop.yaml", "loud", *words).stdout == "changed: loud\n"
    found = stage("loud")
    assert (found["concurrency"], found["buffer_limit"]) == (5, 7)
    assert [(one["max_demand"], one["min_demand"]) for one in found["subscriptions"]] == [(100, 20)]
    told("change", "shop.yaml", "loud", "--buffer-size", "none", "--demand", "ticks=10")
    found = stage("loud")
    assert (found["concurrency"], found["buffer_limit"]) == (5, None)
    assert [(one["max_demand"], one["min_demand"]) for one in found["subscriptions"]] == [(10, 5)]


def test_what_the_run_refuses_is_told_in_its_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, why in (
        (("pause", "shop.yaml", "nobody"), "there is no stage of that name: there are ticks, loud, sink"),
        (("change", "shop.yaml", "sink", "--concurrency", "2"), "one after another"),
        (("change", "shop.yaml", "loud", "--demand", "ticks=5:5"), "min_demand must be below max_demand"),
        (("change", "shop.yaml", "loud", "--demand", "sink=5"), "not subscribed to 'sink'"),
        (("list", "--url", url), "asks for its token"),
    ):
        result = called(*words)
        assert (result.exit_code, why in result.stderr) == (1, True), result.output
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert told("list", "--url", url)["pipeline"] == "shop"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("list",), "name the config file or the URL"),
        (("list", "off.yaml", "sink"), "unexpected argument 'sink'"),
        (("list", "off.yaml"), "does not listen"),
        (("list", "any.yaml"), "lets the system choose the port"),
        (("list", "--url", "127.0.0.1:9470"), "is no URL of a run"),
        (("list", "--url", "http://127.0.0.1:x"), "is no URL of a run"),
        (("list", "--url", "http://127.0.0.1%00:1"), "is no URL of a run"),
        (("list", "--url", "http://127.0.0.1/api"), "is no URL of a run"),
        (("pause", "off.yaml"), "name the stages"),
        (("change", "off.yaml", "sink"), "say what to change"),
        (("change", "off.yaml", "--concurrency", "2"), "name one stage"),
        (("change", "off.yaml", "sink", "--buffer-size", "few"), "is no number"),
        (("change", "off.yaml", "sink", "--demand", "ticks"), "write it as in visits=1000"),
        (("change", "off.yaml", "sink", "--demand", "ticks=1:"), "is no number"),
    ],
)
def test_words_that_do_not_fit_together_ask_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    stages = "stages:\n  ticks: {type: generate}\n  sink: {type: discard, subscribe_to: ticks}\n"
    write(tmp_path, off_yaml=f"listen: off\n{stages}", any_yaml=f"listen: 127.0.0.1:0\n{stages}")
    result = called(*words)
    assert (result.exit_code, why in result.stderr) == (2, True), result.output


def test_where_no_run_answers_a_sentence_says_so() -> None:
    result = called("list", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "no run answers at http://127.0.0.1:1" in result.stderr


class Other(BaseHTTPRequestHandler):
    """Answers as no run does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"stages": "none"}')


def test_what_answers_in_another_form_is_no_run() -> None:
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        result = called("list", "--url", f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert (result.exit_code, "does not answer as a run" in result.stderr) == (1, True)


def test_a_token_that_is_none_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "ses\name")
    result = called("list", "--url", "http://127.0.0.1:1")
    assert (result.exit_code, TOKEN_VARIABLE in result.stderr, "ses" in result.stderr) == (2, True, False)
