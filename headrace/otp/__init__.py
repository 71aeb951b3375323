"""Processes: a mailbox and a callback object that do one thing at a time, and supervisors that restart them."""

from headrace.otp.links import Down, Exit, Monitor
from headrace.otp.process.mailbox import Reply
from headrace.otp.registry import Registry, RegistryEntry
from headrace.otp.supervision.process_tree import ProcessInfo, ProcessTree, tree

__all__ = ["Down", "Exit", "Monitor", "ProcessInfo", "ProcessTree", "Registry", "RegistryEntry", "Reply", "tree"]
