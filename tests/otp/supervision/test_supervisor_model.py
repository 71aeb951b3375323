"""Supervisors against OTP's rules, written down as plainly as they are: random exits, strategies and types."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import Clock
from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.restart import Restart, Strategy
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.families import Family, crash, finish
from tests.fakes.processes import ManualClock, Oops, hops
from tests.fakes.stepping import rest

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
SECONDS = 5

Exit = tuple[int, Literal["crash", "finish"], int]
"""Which of the living children ends, how, and how many seconds later the next one does."""

TYPES = st.lists(st.sampled_from(["permanent", "transient", "temporary"]), min_size=1, max_size=5)
EXITS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["crash", "finish"]), st.integers(0, 4)), max_size=8)


@dataclass
class Model:
    """OTP's rules, for children that start and end at once."""

    strategy: Strategy
    types: dict[str, Restart]
    max_restarts: int
    alive: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)
    has_given_up: bool = False

    def start(self, names: list[str]) -> None:
        self.log += [f"+{name}" for name in names]
        self.alive = [name for name in self.types if name in self.alive or name in names]

    def stop(self, names: list[str]) -> None:
        for name in reversed([name for name in names if name in self.alive]):
            self.log.append(f"-{name}")
            self.alive.remove(name)

    def end(self, name: str, how: str, now: int) -> None:
        self.stop([name])
        restart = self.types[name]
        if restart == "temporary":
            del self.types[name]
        if restart == "temporary" or (restart == "transient" and how == "finish"):
            return
        self.restarts = [at for at in self.restarts if now - at <= SECONDS]
        if len(self.restarts) == self.max_restarts:
            self.has_given_up = True
            self.stop(list(self.types))
            return
        self.restarts.append(now)
        names = list(self.types)
        group = {"one_for_one": [name], "one_for_all": names, "rest_for_one": names[names.index(name) :]}[self.strategy]
        self.stop(group)
        self.types = {each: self.types[each] for each in names if each not in group or self.types[each] != "temporary"}
        self.start([each for each in group if each in self.types])


@given(strategy=st.sampled_from(STRATEGIES), types=TYPES, max_restarts=st.integers(0, 4), exits=EXITS)
def test_children_are_stopped_and_started_as_otp_says(
    strategy: Strategy, types: list[Restart], max_restarts: int, exits: list[Exit]
) -> None:
    async def main() -> None:
        clock, family = ManualClock(), Family()
        named = dict(zip("abcde", types, strict=False))
        supervisor = Supervisor(
            "supervisor",
            Scheduler(clock=Clock(monotonic=clock)),
            strategy=strategy,
            children=tuple(family.spec(name, restart) for name, restart in named.items()),
            max_restarts=max_restarts,
            max_seconds=SECONDS,
        )
        model = Model(strategy, named, max_restarts)
        model.start(list(named))
        supervisor.start()
        await supervisor.started
        for which, how, seconds in exits:
            if model.has_given_up or not model.alive:
                break
            name = model.alive[which % len(model.alive)]
            model.end(name, how, int(clock.now))
            await (crash(supervisor, name, Oops(name)) if how == "crash" else finish(supervisor, name))
            await rest(supervisor.scheduler)
            assert family.log == model.log
            assert (supervisor.state is ProcessStatus.ENDED) is model.has_given_up
            clock.advance(seconds)
        supervisor.stop()
        await supervisor.terminated
        model.stop(list(model.types))
        assert family.log == model.log

    asyncio.run(main())


@given(
    strategy=st.sampled_from(STRATEGIES),
    types=TYPES,
    exits=EXITS,
    slowness=st.integers(0, 3),
    pauses=st.lists(st.integers(0, 12), min_size=8, max_size=8),
)
def test_whatever_ends_while_others_start_and_stop_all_are_as_they_should_be_in_the_end(
    strategy: Strategy, types: list[Restart], exits: list[Exit], slowness: int, pauses: list[int]
) -> None:
    async def main() -> None:
        family = Family()
        named = dict(zip("abcde", types, strict=False))
        specs = tuple(family.spec(name, restart) for name, restart in named.items())
        supervisor = Supervisor("supervisor", Scheduler(), strategy=strategy, children=specs, max_restarts=99)
        supervisor.start()
        await supervisor.started
        family.hops = slowness
        for (which, how, _), pause in zip(exits, pauses, strict=False):
            running = [info.name for info in supervisor.which_children() if info.ref is not None]
            if running:
                name = running[which % len(running)]
                await (crash(supervisor, name, Oops(name)) if how == "crash" else finish(supervisor, name))
            await hops(pause)
        await rest(supervisor.scheduler)
        await hops(8 * len(types) * (slowness + 5))
        states = {info.name: info.state for info in supervisor.which_children()}
        for name, restart in named.items():
            assert restart != "permanent" or states[name] == "running"
            assert states.get(name, "ended") in ("running", "ended")
        supervisor.stop()
        await supervisor.terminated
        for name in named:
            own = [entry for entry in family.log if entry[1] == name]
            assert own == [f"{'+-'[number % 2]}{name}" for number in range(len(own))]
            assert own[-1] == f"-{name}"
        assert supervisor.table.entries == {} or all(child.has_ended for child in supervisor.table.entries.values())

    asyncio.run(main())
