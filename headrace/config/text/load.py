"""The text of a config becomes a tree of values that know their places: YAML, JSON or TOML, by the file's name."""

from pathlib import PurePath

from headrace.config.text.assembly import assemble
from headrace.config.text.findings import Fault
from headrace.config.text.json_text import json_tokens
from headrace.config.text.nodes import MapNode, ScalarNode
from headrace.config.text.source import START, Report
from headrace.config.text.toml_text import toml_tokens
from headrace.config.text.yaml_text import yaml_tokens


def load(report: Report) -> MapNode:
    """Return the tree of the report's source; findings that leave a tree to go on with are only added to the report.

    Raises ConfigError when there is no tree: the text does not parse, is empty, too large, or not a mapping.
    """
    suffix = PurePath(report.source.file).suffix.lower()
    tokens = {".json": json_tokens, ".toml": toml_tokens}.get(suffix, yaml_tokens)
    root = assemble(tokens(report), report)
    if isinstance(root, MapNode):
        return root
    if root is None or (isinstance(root, ScalarNode) and not root.text):
        raise report.refusal(START, Fault("empty", "the file holds no config: it needs at least `stages:`"))
    fault = Fault("bad-value", "a config is a mapping: it begins with keys like `name:` and `stages:`")
    raise report.refusal(root.span, fault)
