"""`TaskSupervisor`: tasks that end with their supervisor."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import ClassVar, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from typing_extensions import override

from headrace.errors import NoProcess, ProcessError, TooManyChildren
from headrace.otp.process.process import ProcessStatus
from headrace.otp.process.state import SHUTDOWN_SECONDS, ProcessSettings, check_count
from headrace.otp.process.task_process import TaskProcess, task_name
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.child_table import ChildEntry, ChildTable
from headrace.otp.supervision.supervisor import SupervisorProcess
from headrace.otp.task import Task
from headrace.otp.task_stream import StreamOptions, TaskSource, TaskStream

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class TaskSupervisor(SupervisorProcess):
    """Tasks without a restart, which end with their supervisor (OTP's `Task.Supervisor`).

    Use `async with TaskSupervisor("tasks") as tasks:`, or make it a child of a `Supervisor`. When it stops, all its
    tasks have `shutdown_seconds` to end, and are cancelled then.
    """

    __slots__ = ("_settings", "_tasks", "max_children")

    restarts_children: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        scheduler: Scheduler | None = None,
        *,
        max_children: int | None = None,
        shutdown_seconds: float | None = SHUTDOWN_SECONDS,
    ) -> None:
        """Run on `scheduler`, or on a new one of the running loop, with at most `max_children` tasks at a time."""
        super().__init__(name, scheduler)
        if max_children is not None:
            check_count("max_children", max_children, 1, ", or None for any number")
        self.max_children = max_children
        self._settings = ProcessSettings(shutdown_seconds=shutdown_seconds)
        self._tasks: ChildTable[ChildEntry] = ChildTable(self)

    @overload
    def start_child(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
    @overload
    def start_child(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    def start_child(self, function: Callable[..., object], *args: object, **kwargs: object) -> Task[object]:
        """Run a function in a process under this supervisor. The caller may ignore the task or wait for its result.

        A failure ends no other process. It emits a telemetry event, and is logged unless a caller waits. The task goes
        on when its caller is cancelled. Raises `TooManyChildren`, `NoProcess` when the supervisor does not run, and
        `ForeignThread`.
        """
        return Task(self._started(task_name(function), partial(function, *args, **kwargs)))

    async_nolink = start_child
    """OTP's name for a task with a result, whose failure does not end its caller."""

    @overload
    def spawn(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
    @overload
    def spawn(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    def spawn(self, function: Callable[..., object], *args: object, **kwargs: object) -> Task[object]:
        """Run a function as `Task.spawn` does, under this supervisor (OTP's `Task.Supervisor.async`)."""
        return Task(self._started(task_name(function), partial(function, *args, **kwargs)), is_owned=True)

    @overload
    def async_stream(
        self,
        function: Callable[[T], Awaitable[R]],
        source: TaskSource[T],
        *,
        return_exceptions: Literal[False] = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R, None]: ...
    @overload
    def async_stream(
        self,
        function: Callable[[T], Awaitable[R]],
        source: TaskSource[T],
        *,
        return_exceptions: bool,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R | ProcessError, None]: ...
    @overload
    def async_stream(
        self,
        function: Callable[[T], R],
        source: TaskSource[T],
        *,
        return_exceptions: Literal[False] = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R, None]: ...
    @overload
    def async_stream(
        self,
        function: Callable[[T], R],
        source: TaskSource[T],
        *,
        return_exceptions: bool,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[R | ProcessError, None]: ...

    def async_stream(
        self,
        function: Callable[[T], object],
        source: TaskSource[T],
        *,
        return_exceptions: bool = False,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[object, None]:
        """Run a stream as `Task.async_stream` does, with its tasks under this supervisor and within `max_children`."""
        stream = TaskStream(function, source, options, self._started)
        return stream.results(self.scheduler, return_exceptions=return_exceptions)

    def children(self) -> list[Task[object]]:
        """Return the tasks that have not ended, in the order of their start."""
        return [Task(process) for process in self.child_entries()]

    def _started(self, name: str, work: Callable[[], object]) -> TaskProcess:
        self.scheduler.check_thread(f"start of task {name!r}")
        if self.state is not ProcessStatus.RUNNING or self._stop_reason is not None:
            raise NoProcess(self.name)
        if self.max_children is not None and len(self._tasks.entries) >= self.max_children:
            raise TooManyChildren(self.name, self.max_children)
        task = TaskProcess(name, work, self.scheduler, self._settings)
        self._tasks.start(ChildEntry(task, key=task))
        return task

    @override
    def child_entries(self) -> list[TaskProcess]:
        return [cast("TaskProcess", child.process) for child in self._tasks.entries.values()]

    @override
    def release(self) -> object:
        return self._tasks.stop_all() if self._tasks.entries else None
