"""The registry: processes under keys, gone when their lives end."""

import asyncio
from collections import Counter
from typing import assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import BadOption, ForeignThread, NameTaken, NoProcess, OutsideProcess
from headrace.otp.gen_server import GenServer
from headrace.otp.ref import Ref
from headrace.otp.registry import KeyMode, Registry, RegistryEntry
from tests.fakes.processes import Oops, supervising

pytestmark = [pytest.mark.usefixtures("vanished")]


class Room(GenServer):
    """Registers itself under a topic, anew in each of its lives."""

    def __init__(self, registry: "Registry[Room]", topic: str = "news") -> None:
        self.registry = registry
        self.topic = topic
        self.heard: list[object] = []

    def init(self) -> None:
        self.registry.register(self.topic, self.ref, value=len(self.heard))

    def say(self, what: str) -> str:
        return f"{self.topic}: {what}"

    def hear(self) -> list[object]:
        return self.heard

    def enter(self, key: str) -> None:
        self.registry.register(key)

    def leave(self, key: str) -> None:
        self.registry.unregister(key)

    def own_keys(self) -> list[object]:
        return list(self.registry.keys())

    def fail(self) -> None:
        raise Oops

    def handle_info(self, message: object) -> None:
        self.heard.append(message)


@pytest.mark.asyncio
async def test_a_process_is_found_under_its_key_and_may_be_called() -> None:
    registry: Registry[Room] = Registry()
    async with supervising() as supervisor:
        await supervisor.start_child(lambda: Room(registry), name="room")
        found = registry.whereis("news")
        assert_type(found, Ref[Room])
        assert await found.call(Room.say, "hello") == "news: hello"
        assert registry.lookup("news") == [RegistryEntry(registry.lookup("news")[0].ref, 0)]
        assert registry.lookup("weather") == []
        with pytest.raises(NoProcess, match="'weather' is not running"):
            registry.whereis("weather")


@pytest.mark.asyncio
async def test_a_unique_key_is_taken_while_its_process_lives_and_free_afterwards() -> None:
    registry: Registry[Room] = Registry()
    async with supervising() as supervisor:
        room = await supervisor.start_child(lambda: Room(registry), name="room")
        other = await supervisor.start_child(lambda: Room(registry, "other"), name="other")
        for ref in (room, other):
            with pytest.raises(NameTaken, match="the name 'news' is taken by a live process"):
                registry.register("news", ref)
        await room.stop()
        registry.register("news", other, value=7)
        assert [entry.value for entry in registry.lookup("news")] == [7]
        assert registry.keys(other) == ["other", "news"]


@pytest.mark.asyncio
async def test_a_crash_takes_the_entries_and_init_makes_them_again() -> None:
    registry: Registry[Room] = Registry()
    async with supervising() as supervisor:
        room = await supervisor.start_child(lambda: Room(registry), name="room")
        await room.call(Room.enter, "extra")
        assert len(registry) == 2
        await room.cast(Room.fail)
        assert await room.call(Room.own_keys) == ["news"]
        assert registry.lookup("extra") == []
        assert registry.whereis("news").name == "room"


@pytest.mark.asyncio
async def test_what_is_published_reaches_all_who_have_subscribed_in_the_order_of_their_entries() -> None:
    registry: Registry[Room] = Registry(keys="duplicate")
    async with supervising() as supervisor:
        rooms = [await supervisor.start_child(lambda: Room(registry), name=name) for name in "abc"]
        await supervisor.start_child(lambda: Room(registry, "weather"), name="d")
        await rooms[1].stop()
        order: list[str] = []

        def publish(entries: list[RegistryEntry[Room]]) -> None:
            for entry in entries:
                order.append(entry.ref.name)
                entry.ref.info("hello")

        registry.dispatch("news", publish)
        registry.dispatch("nobody", publish)
        assert order == ["a", "c"]
        assert [await rooms[place].call(Room.hear) for place in (0, 2)] == [["hello"], ["hello"]]


@pytest.mark.asyncio
async def test_a_process_takes_its_own_entries_out_and_nobody_else_s() -> None:
    registry: Registry[Room] = Registry(keys="duplicate")
    async with supervising() as supervisor:
        one = await supervisor.start_child(lambda: Room(registry), name="one")
        two = await supervisor.start_child(lambda: Room(registry), name="two")
        await one.call(Room.enter, "news")
        assert len(registry.lookup("news")) == 3
        await one.call(Room.leave, "news")
        await one.call(Room.leave, "never entered")
        assert [entry.ref.name for entry in registry.lookup("news")] == ["two"]
        assert await one.call(Room.own_keys) == []
        assert one._process.exit_hooks == {}
        assert registry.keys(two) == ["news"]


@pytest.mark.asyncio
async def test_a_value_may_be_changed_by_its_process() -> None:
    registry: Registry[Room] = Registry(keys="duplicate")
    async with supervising() as supervisor:
        one = await supervisor.start_child(lambda: Room(registry), name="one")
        await supervisor.start_child(lambda: Room(registry), name="two")
        registry.update_value("news", lambda value: [value], one)
        registry.update_value("weather", lambda value: [value], one)
        assert [entry.value for entry in registry.lookup("news")] == [[0], 0]


@pytest.mark.asyncio
async def test_what_cannot_be_is_said_in_one_sentence() -> None:
    with pytest.raises(BadOption, match="'unique' or 'duplicate'"):
        Registry(keys="both")  # type: ignore[arg-type] # what is wrong
    registry: Registry[Room] = Registry()
    with pytest.raises(OutsideProcess, match="pass the Ref of one"):
        registry.register("news")
    async with supervising() as supervisor:
        room = await supervisor.start_child(lambda: Room(registry), name="room")
        with pytest.raises(ForeignThread, match="lookup in 'registry' from a foreign thread"):
            await asyncio.to_thread(registry.lookup, "news")
        with pytest.raises(ForeignThread, match="entry of 'room' from a foreign thread"):
            await asyncio.to_thread(registry.register, "other", room)
        await room.stop()
        with pytest.raises(NoProcess, match="'room'"):
            registry.register("news", room)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["register", "unregister", "crash", "stop"]), st.sampled_from("abc"), st.sampled_from("xy")
    ),
    max_size=30,
)


class Model:
    """What a registry is to hold: how often each process is under each key."""

    def __init__(self, keys: KeyMode, refs: dict[str, Ref[GenServer]]) -> None:
        self.registry: Registry[GenServer] = Registry(keys)
        self.is_unique = keys == "unique"
        self.refs = refs
        self.held: dict[str, Counter[str]] = {"x": Counter(), "y": Counter()}

    def register(self, name: str, key: str) -> None:
        ref, held = self.refs[name], self.held[key]
        if not ref.is_alive:
            with pytest.raises(NoProcess):
                self.registry.register(key, ref)
        elif self.is_unique and held:
            with pytest.raises(NameTaken):
                self.registry.register(key, ref)
        else:
            self.registry.register(key, ref)
            held[name] += 1

    def unregister(self, name: str, key: str) -> None:
        self.registry.unregister(key, self.refs[name])
        del self.held[key][name]

    async def end(self, name: str, *, is_crash: bool) -> None:
        ref = self.refs[name]
        if not ref.is_alive:
            return
        if is_crash:
            ref.cast_nowait(_raise)
            await ref.call(_nothing)
        else:
            await ref.stop()
        for held in self.held.values():
            del held[name]

    def check(self) -> None:
        found = {key: Counter(entry.ref.name for entry in self.registry.lookup(key)) for key in "xy"}
        assert found == self.held
        assert len(self.registry) == sum(held.total() for held in self.held.values())


@given(steps=STEPS, keys=st.sampled_from(["unique", "duplicate"]))
def test_it_holds_what_the_living_have_entered_and_nothing_else(
    steps: list[tuple[str, str, str]], keys: KeyMode
) -> None:
    async def run() -> None:
        async with supervising(max_restarts=100) as supervisor:
            model = Model(keys, {name: await supervisor.start_child(GenServer, name=name) for name in "abc"})
            for step, name, key in steps:
                if step == "register":
                    model.register(name, key)
                elif step == "unregister":
                    model.unregister(name, key)
                else:
                    await model.end(name, is_crash=step == "crash")
                model.check()
        assert (model.registry._entries, model.registry._keys) == ({}, {})

    asyncio.run(run())


def _raise(_: object) -> None:
    raise Oops


def _nothing(_: object) -> None:
    """Answer."""
