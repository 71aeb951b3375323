"""A store of jobs by its URL."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadStore
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.postgres_store import PostgresStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import store_names, store_of


def test_memory_and_sqlite_are_installed() -> None:
    assert {"memory", "sqlite"} <= set(store_names())


def test_a_postgresql_url_is_a_store_in_a_database() -> None:
    for scheme in ("postgresql", "postgres"):
        store = store_of(f"{scheme}://ann:secret@db/shop")
        assert isinstance(store, PostgresStore)
        store.close_sync()


@pytest.mark.parametrize(
    "url", ["postgresql://", "postgresql://ann:se/cret@db/shop", "postgresql://db", "postgres://@/"]
)
def test_a_postgresql_url_without_a_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadStore, match="write postgresql://user:password@host:5432/shop") as caught:
        store_of(url)
    assert "se/cret" not in str(caught.value)


def test_a_missing_driver_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headrace.database.postgres", None)
    with pytest.raises(BadStore, match=r"needs the package psycopg .*pip install 'headrace\[postgres\]'"):
        store_of("postgresql://db/shop")


def test_memory_is_a_store_in_memory() -> None:
    assert isinstance(store_of("memory:"), MemoryStore)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/shop.db", "var/shop.db"),
        ("sqlite:////var/shop.db", "/var/shop.db"),
        ("sqlite:///a%20b.db?synchronous=normal", "a b.db"),
    ],
)
def test_three_slashes_are_a_path_from_here_and_four_one_from_the_root(url: str, path: str) -> None:
    store = store_of(url)
    assert isinstance(store, SqliteStore)
    assert store.path == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///var/",
        "sqlite://host/x.db",
        "sqlite:///x.db?synchronous=off",
        "sqlite:///x.db?mode=ro",
        "sqlite:///x.db#there",
        "sqlite:x.db",
        "sqlite://[x",
        "memory://somewhere",
        "sqlite:///x.db%00y",
    ],
)
def test_a_url_that_means_nothing_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(BadStore, match=r"write|take the others away|take it out"):
        store_of(url)


@given(st.text().filter(lambda text: text.partition(":")[0] not in {"memory", "sqlite", "postgresql", "postgres"}))
def test_a_scheme_that_is_not_installed_is_refused_with_those_that_are(url: str) -> None:
    with pytest.raises(BadStore, match="sqlite:"):
        store_of(url)


def test_a_refusal_does_not_tell_what_stands_behind_the_scheme() -> None:
    with pytest.raises(BadStore) as caught:
        store_of("oracle://scott:tiger@host/db")
    assert "tiger" not in str(caught.value)
