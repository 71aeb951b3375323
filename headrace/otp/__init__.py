"""Processes: a mailbox and a callback object that do one thing at a time, and supervisors that restart them."""

from headrace.otp.links import Down, Exit, Monitor
from headrace.otp.process.mailbox import Reply
from headrace.otp.process.state import ProcessSettings
from headrace.otp.registry import Registry, RegistryEntry
from headrace.otp.supervision.process_tree import ProcessInfo, ProcessTree, tree
from headrace.otp.task import Failed, Finished

__all__ = [
    "Down",
    "Exit",
    "Failed",
    "Finished",
    "Monitor",
    "ProcessInfo",
    "ProcessSettings",
    "ProcessTree",
    "Registry",
    "RegistryEntry",
    "Reply",
    "tree",
]
