"""Help texts and errors in plain words: arguments as they are typed, no types beside flags, no pydantic sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from typer._click.core import Context, Parameter  # the classes of typer need its own copy of click
from typer._click.exceptions import BadParameter
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typing_extensions import override

from headrace.errors.validation import own_sentence, predicate


class _Argument(TyperArgument):
    """An argument whose metavar is what a user types, such as `[FILE] NUMBER...`."""

    @override
    def get_usage_pieces(self, ctx: Context) -> list[str]:
        return [self.metavar or self.display_name_raw]

    @override
    def display_type_rich(self, ctx: Context) -> str | None:
        return None


def _plain(params: list[Parameter]) -> list[Parameter]:
    for param in params:
        if isinstance(param, TyperOption) and param.is_bool_flag:
            param.metavar = ""
        elif type(param) is TyperArgument:
            param.__class__ = _Argument  # typer creates the arguments itself, and has no option for their class
    return params


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Replace the sentence of a wrong value by ours; typer shows the sentence of pydantic."""
    try:
        yield
    except BadParameter as error:
        from pydantic import ValidationError

        if isinstance(error.__cause__, ValidationError):
            first = error.__cause__.errors(include_url=False, include_input=False)[0]
            context = first.get("ctx", {})
            error.message = predicate(first["type"], context) or own_sentence(first["msg"], context)
        raise


class _Command(TyperCommand):
    @override
    def get_params(self, ctx: Context) -> list[Parameter]:
        return _plain(super().get_params(ctx))

    @override
    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        with _plain_errors():
            return super().parse_args(ctx, args)


class PlainGroup(TyperGroup):
    """A group of commands with plain help texts and errors."""

    @override
    def get_params(self, ctx: Context) -> list[Parameter]:
        return _plain(super().get_params(ctx))

    @override
    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        with _plain_errors():
            return super().parse_args(ctx, args)


def with_plain_help(app: typer.Typer) -> typer.Typer:
    """Give all commands and groups of the app plain help texts; return the app."""
    app.info.cls = PlainGroup
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        group.cls = PlainGroup
        if group.typer_instance is not None:
            with_plain_help(group.typer_instance)
    return app
