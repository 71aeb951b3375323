"""Databases of orders that stages write and tests look into: a file, or a database of a real server."""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

import psycopg

from headrace.stages.sinks.write_sql import WriteSql, WriteSqlOptions
from headrace.stages.sources.read_sql import ReadSql, ReadSqlOptions

TABLE = "create table if not exists orders (id integer primary key, sku text not null, count integer check (count > 0))"
ORDERS = "select id, sku, count from orders order by id"


class Shop(Protocol):
    """A database of orders."""

    url: str
    refuses_null: str
    """Why a row without sku is refused."""
    misses: str
    """Why nothing is written where there are no orders."""

    def rows(self, query: str = ORDERS) -> list[Any]:
        """Return the rows of a query."""

    def execute(self, statement: str, *rows: tuple[object, ...]) -> None:
        """Run a statement, once or for each row, whose values are written `?`."""


class SqliteShop:
    refuses_null = "NOT NULL constraint failed: orders.sku"
    misses = "no such table: orders"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shop.db"
        self.url = f"sqlite:///{self.path}"

    def rows(self, query: str = ORDERS) -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def execute(self, statement: str, *rows: tuple[object, ...]) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.executemany(statement, rows) if rows else connection.execute(statement)
        connection.close()


class PostgresShop:
    refuses_null = 'null value in column "sku" of relation "orders" violates not-null constraint'
    misses = 'relation "orders" does not exist'

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str = ORDERS) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def execute(self, statement: str, *rows: tuple[object, ...]) -> None:
        text = statement.replace("?", "%s").encode()
        with psycopg.connect(self.url) as connection:
            connection.cursor().executemany(text, rows) if rows else connection.execute(text)


def sink(shop: Shop, **options: object) -> WriteSql:
    """Return a stage that writes orders, and makes their table."""
    columns = {"id": "event.id", "sku": "event.sku", "count": "event.count"}
    said = {"database": shop.url, "table": "orders", "columns": columns, "setup": TABLE, **options}
    return WriteSql(WriteSqlOptions.model_validate(said))


def source(shop: Shop, **options: object) -> ReadSql:
    """Return a stage that reads."""
    return ReadSql(ReadSqlOptions.model_validate({"database": shop.url, **options}))


def orders(*numbers: int) -> list[object]:
    """Return events that are rows of orders."""
    return [{"id": number, "sku": f"s{number}", "count": 1} for number in numbers]
