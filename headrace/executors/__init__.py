"""Executors: run functions that would block the event loop, in threads or in other OS processes."""

from headrace.executors.call import Call, Raised, Returned
from headrace.executors.executor import Executor
from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.thread_executor import ThreadExecutor
from headrace.executors.worker_process import WorkerSettings

__all__ = ["Call", "Executor", "ProcessExecutor", "Raised", "Returned", "ThreadExecutor", "WorkerSettings"]
