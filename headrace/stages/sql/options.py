"""How stages name databases in a config."""

from typing import Annotated

from pydantic import AfterValidator

from headrace.stages.options import refused
from headrace.stages.sql.errors import BadDatabase
from headrace.stages.sql.statements import is_name
from headrace.stages.sql.urls import check_url


def _url(value: str) -> str:
    try:
        check_url(value)
    except BadDatabase as error:
        refusal = refused("bad_value", error.why)
    else:
        return value
    raise refusal


def _name(value: str) -> str:
    if not is_name(value):
        raise refused("bad_value", "a table or column has letters, digits and _ in its name, and no digit first")
    return value


DatabaseField = Annotated[str, AfterValidator(_url)]
"""The URL of a database."""

NameField = Annotated[str, AfterValidator(_name)]
"""A table or a column."""
