"""Every `headrace` command in a code block of the documents has the arguments and options that the command accepts."""

import re
import shlex

import pytest
from typer._click.core import Context
from typer.core import TyperGroup

from headrace.console.cli.main import COMMANDS, load_command
from tests.docs.test_documents import blocks

LINES = [
    (place, line)
    for language in ("console", "sh")
    for place, text in blocks(language)
    for line in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?headrace (.*)$", text, re.MULTILINE)
]


@pytest.mark.parametrize(("place", "line"), LINES)
def test_a_command_in_the_documents_can_be_parsed(place: str, line: str) -> None:
    name, *words = shlex.split(line, comments=True)
    command = load_command(name, COMMANDS[name][0])
    if isinstance(command, TyperGroup):
        name, *words = words
        found = command.get_command(Context(command), name)
        assert found is not None, place
        command = found
    command.make_context(name, words)


def test_the_documents_show_commands() -> None:
    assert len(LINES) > 15
