"""Executors: where functions run that would hold up the event loop: in threads, or in other OS processes."""

from headrace.pipeline.executor.call import Call, Raised, Returned
from headrace.pipeline.executor.executor import Executor
from headrace.pipeline.executor.process_executor import ProcessExecutor
from headrace.pipeline.executor.thread_executor import ThreadExecutor
from headrace.pipeline.executor.worker import WorkerSettings

__all__ = ["Call", "Executor", "ProcessExecutor", "Raised", "Returned", "ThreadExecutor", "WorkerSettings"]
