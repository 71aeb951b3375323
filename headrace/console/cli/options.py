"""The arguments and options that several commands share."""

from typing import Annotated

import typer

FileArgument = Annotated[str, typer.Argument(help="The config file.", metavar="FILE")]
NameArgument = Annotated[str, typer.Argument(help="The registry's name, or that of its worker.", metavar="NAME")]
TargetArguments = Annotated[
    list[str] | None, typer.Argument(help="The config file (not with --store).", metavar="[FILE]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
StageOption = Annotated[
    list[str] | None, typer.Option("--stage", help="Only letters of this stage; may be given again.", metavar="STAGE")
]
StoreOption = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask, however many they are.")]
