"""Help texts that show arguments as they are typed, and no types beside flags."""

import typer
from typer._click.core import Context, Parameter  # typer carries a click of its own, and its classes ask for that one
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typing_extensions import override


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
            param.__class__ = _Argument  # typer makes the arguments itself, and has no option for their class
    return params


class _Command(TyperCommand):
    @override
    def get_params(self, ctx: Context) -> list[Parameter]:
        return _plain(super().get_params(ctx))


class _Group(TyperGroup):
    @override
    def get_params(self, ctx: Context) -> list[Parameter]:
        return _plain(super().get_params(ctx))


def with_plain_help(app: typer.Typer) -> typer.Typer:
    """Return the app after all its commands and groups were given plain help texts."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        group.cls = _Group
        if group.typer_instance is not None:
            with_plain_help(group.typer_instance)
    return app
