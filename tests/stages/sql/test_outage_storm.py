"""The database of a run is down at its start and in its middle, and the run is killed meanwhile: nothing is lost.

What a client was told is taken in (202) is in the database at the end. `HEADRACE_OUTAGE_SECONDS` says how long each
outage is; `make chaos` makes them last 30 s.
"""

import http.client
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.console.cli.command import ask, started, write
from tests.fakes.free_port import free_port
from tests.fakes.outages import outage
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.shops import PostgresShop

OUTAGE_SECONDS: Final = float(os.environ.get("HEADRACE_OUTAGE_SECONDS", "0.2"))
WAIT_SECONDS: Final = 60.0

CONFIG: Final = """\
name: shop
listen: 127.0.0.1:0
stages:
  events: {{type: receive_http, listen: "127.0.0.1:{port}", buffer: {{kind: sqlite, path: events.db}}}}
  rows:
    type: write_sql
    subscribe_to: events
    database: {url}
    table: seen
    columns: {{n: event.n}}
    key: [n]
    on_conflict: ignore
    setup: create table if not exists seen (n integer primary key)
    retry: {{attempts: 1000000, backoff: 10ms, max_backoff: 500ms}}
"""


class Sender:
    """Sends numbers, one request for each, and remembers those that were taken in."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._number = 0
        self.taken: set[int] = set()

    def send_for(self, seconds: float) -> None:
        """Send until so much time has passed, and at least ten were taken in."""
        connection = self._connected()
        end, before = time.monotonic() + seconds, len(self.taken)
        while time.monotonic() < end or len(self.taken) < before + 10:
            self._number += 1
            body = json.dumps({"n": self._number})
            connection.request("POST", "/events", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {202, 429}
            if answer.status == 202:
                self.taken.add(self._number)
        connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        """Connect as soon as the source listens."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_SECONDS)
            try:
                connection.connect()
            except ConnectionRefusedError:
                assert time.monotonic() < end
            else:
                return connection


def wait_for(taken: set[int], shop: PostgresShop) -> None:
    """Wait until all that was taken in is in the database."""
    end = time.monotonic() + WAIT_SECONDS
    while (missing := taken - {number for (number,) in shop.rows("select n from seen")}) and time.monotonic() < end:
        pass
    assert missing == set()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(3 * WAIT_SECONDS + 3 * OUTAGE_SECONDS)
def test_nothing_is_lost_when_the_database_is_down_at_the_start_and_in_the_middle(
    postgres: PostgresServer, postgres_url: str, stack: ExitStack, tmp_path: Path
) -> None:
    shop, port = PostgresShop(postgres_url), free_port()
    sender = Sender(port)
    write(tmp_path, a_yaml=CONFIG.format(port=port, url=postgres_url))
    shop.execute("create table seen (n integer primary key)")
    with outage(postgres) as end:
        with started(tmp_path, "run", "a.yaml") as killed:
            killed.until("waits: the database")
            sender.send_for(OUTAGE_SECONDS / 2)
        command = stack.enter_context(started(tmp_path, "run", "a.yaml"))
        url = command.url()
        command.until("waits: the database")
        sender.send_for(OUTAGE_SECONDS / 2)
        assert standing(url) == (503, 0)
        end()
        command.wait_until_ready(url)
        wait_for(sender.taken, shop)
    with outage(postgres) as end:
        sender.send_for(OUTAGE_SECONDS)
        assert standing(url) == (503, 0)
        end()
        command.wait_until_ready(url)
        wait_for(sender.taken, shop)
    assert standing(url) == (200, 1)
    command.process.terminate()
    assert command.end()[0] == 0
    sys.stdout.write(f"2 outages of {OUTAGE_SECONDS:g} s and a kill in one: {len(sender.taken)} events, none missing\n")


def standing(url: str) -> tuple[int, float]:
    """Return the status of /ready, and whether a scrape says that the database can be used."""
    found = re.search(r'headrace_connection_up\{connection="database".*stage="rows"\} (\S+)', ask(f"{url}/metrics")[1])
    assert found is not None
    return ask(f"{url}/ready")[0], float(found[1])
