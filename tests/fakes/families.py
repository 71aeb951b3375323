"""Children of one supervisor that write down when they start and stop, and crash when told to."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from headrace.otp.gen_server import GenServer
from headrace.otp.process.state import ProcessSettings
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import Restart
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.processes import hops, raising


class Family:
    """What happened to its members, in order: `+name` started, `-name` ended."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fails: dict[str, list[Callable[[], None]]] = {}
        self.hops = 0

    def spec(
        self, name: str, restart: Restart = "permanent", shutdown_seconds: float | None = None
    ) -> ChildSpec[object]:
        """Return the spec of a member."""
        settings = ProcessSettings(shutdown_seconds=shutdown_seconds)
        return ChildSpec(partial(Member, self, name), name, restart, settings)

    def specs(self, names: Sequence[str]) -> tuple[ChildSpec[object], ...]:
        """Return the specs of permanent members, whose names are letters."""
        return tuple(map(self.spec, names))

    def fail_at_start(self, name: str, *errors: BaseException | None) -> None:
        """Have the next starts of a member raise; None is a start that goes well."""
        self.fails[name] = [(lambda: None) if error is None else partial(raising, error) for error in errors]

    def taken(self) -> list[str]:
        """Return what has happened since this was asked last."""
        log, self.log = self.log, []
        return log


class Member(GenServer):
    """A member of a family. Its start and its end take as many turns of the loop as its family says."""

    def __init__(self, family: Family, name: str) -> None:
        self.family = family
        self.name = name

    async def init(self) -> None:
        """Note the start."""
        fails = self.family.fails.get(self.name)
        await hops(self.family.hops)
        if fails:
            fails.pop(0)()
        self.family.log.append(f"+{self.name}")

    async def terminate(self, reason: object) -> None:
        """Note the end."""
        await hops(self.family.hops)
        self.family.log.append(f"-{self.name}")

    def crash(self, error: BaseException) -> None:
        """Raise."""
        raise error

    async def hang(self) -> None:
        """Never return."""
        await asyncio.get_running_loop().create_future()


async def crash(supervisor: Supervisor, name: str, error: BaseException) -> None:
    """Have a child crash."""
    await supervisor.whereis(name, Member).cast(Member.crash, error)


async def finish(supervisor: Supervisor, name: str) -> None:
    """Have a child end normally."""
    await supervisor.whereis(name, Member).cast(Member.stop)
