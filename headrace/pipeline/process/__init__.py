"""Processes: a mailbox and a callback object that do one thing at a time, and those who restart them."""

from headrace.pipeline.process.links import Exit
from headrace.pipeline.process.living import ProcessInfo, ProcessTree, tree
from headrace.pipeline.process.monitor import Down, Monitor
from headrace.pipeline.process.registry import Registry
from headrace.pipeline.process.reply import Reply

__all__ = ["Down", "Exit", "Monitor", "ProcessInfo", "ProcessTree", "Registry", "Reply", "tree"]
