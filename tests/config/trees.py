"""What the tests of the config read texts with."""

from collections.abc import Callable, Iterator

from headrace.config.text.findings import ConfigError, ConfigSource, Finding, Report
from headrace.config.text.parse import json_tokens, toml_tokens, yaml_tokens
from headrace.config.text.tree import Token, TreeNode, assemble

Reader = Callable[[Report], Iterator[Token]]


def pure_yaml_tokens(report: Report) -> Iterator[Token]:
    """What PyYAML reads without libyaml."""
    return yaml_tokens(report, fast=False)


READERS: dict[str, Reader] = {
    "yaml": yaml_tokens,
    "pure yaml": pure_yaml_tokens,
    "json": json_tokens,
    "toml": toml_tokens,
}


def tree(text: str, reader: Reader = yaml_tokens) -> tuple[TreeNode | None, list[Finding]]:
    """Return the tree of a text, and the findings; no tree when it was refused."""
    report = Report(ConfigSource("shop.yaml", text))
    try:
        return assemble(reader(report), report), report.findings
    except ConfigError as error:
        return None, list(error.findings)


def good_tree(text: str, reader: Reader = yaml_tokens) -> TreeNode:
    """Return the tree of a text in which nothing is wrong."""
    node, findings = tree(text, reader)
    assert not findings, findings
    assert node is not None
    return node
