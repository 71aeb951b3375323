"""Processes: a mailbox and a callback object that do one thing at a time, and those who restart them."""

from headrace.pipeline.process.living import ProcessInfo, ProcessTree, tree

__all__ = ["ProcessInfo", "ProcessTree", "tree"]
