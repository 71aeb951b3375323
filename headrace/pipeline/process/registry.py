"""Names of live processes: unique keys, gone when their process has ended."""

from headrace.ground.errors import NameTaken, NoProcess
from headrace.pipeline.process.child import Child
from headrace.pipeline.process.process import State


class Registry:
    """Who lives under which name. A name whose process has ended is free again."""

    def __init__(self) -> None:
        self._processes: dict[str, Child] = {}

    def register(self, name: str, process: Child) -> None:
        """Give `process` a name; raises `NameTaken` when a live process has it."""
        living = self._processes.get(name)
        if living is not None and living is not process and living.state is not State.ENDED:
            raise NameTaken(name)
        self._processes[name] = process

    def unregister(self, name: str, process: Child) -> None:
        """Free the name that `process` had, unless another has it by now."""
        if self._processes.get(name) is process:
            del self._processes[name]

    def whereis(self, name: str) -> Child:
        """Return the live process of that name; raises `NoProcess` when there is none."""
        process = self._processes.get(name)
        if process is None or process.state is State.ENDED:
            raise NoProcess(name)
        return process

    def names(self) -> list[str]:
        """Return the names of all live processes, sorted."""
        return sorted(name for name, process in self._processes.items() if process.state is not State.ENDED)
