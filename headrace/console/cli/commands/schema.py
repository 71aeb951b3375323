"""`headrace schema`: prints the JSON Schema of config files, for editors."""

from typing import Annotated

import typer


def schema(
    *,
    as_json: Annotated[  # noqa: ARG001 - all commands take it, and this one has no other form
        bool, typer.Option("--json", help="Accepted, as everywhere: the schema is JSON anyway.")
    ] = False,
) -> None:
    """Print the JSON Schema of config files, with every installed stage type.

    An editor completes and checks a config that names the file it was written to:
    # yaml-language-server: $schema=headrace.schema.json
    """
    from headrace.config.schema import schema as make_schema
    from headrace.console.cli.output import print_json

    print_json(make_schema())
