"""`Registry`: finds processes by keys, and publishes to all processes under one key."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, Literal, NamedTuple, cast

from headrace.errors import BadOption, NameTaken, NoProcess, OutsideProcess
from headrace.otp.process.process import CURRENT, Process
from headrace.otp.ref import Ref, S, process_behind
from headrace.otp.scheduler import Scheduler

KeyMode = Literal["unique", "duplicate"]
"""Whether a key has one process, or any number."""

_KEYS: Final = ("unique", "duplicate")


class RegistryEntry(NamedTuple, Generic[S]):
    """A process under a key, and the value registered with it."""

    ref: Ref[S]
    value: object


class Registry(Generic[S]):
    """Processes by key (OTP's `Registry`). For the thread of the loop on which the processes live.

    An entry is removed when the *life* of its process ends, also by a crash; `init` makes it again after a restart. A
    `"unique"` key has one process. A `"duplicate"` key has any number, and one process may be there several times; with
    `dispatch` this is publish and subscribe.
    """

    def __init__(self, keys: KeyMode = "unique") -> None:
        """Make an empty registry. Raises `BadOption` for another kind of keys."""
        if keys not in _KEYS:
            raise BadOption("keys", keys, "'unique' or 'duplicate'")
        self._is_unique = keys == "unique"
        self._entries: dict[Hashable, list[RegistryEntry[S]]] = {}
        self._keys: dict[Process[object], list[Hashable]] = {}
        self._scheduler: Scheduler | None = None

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self._entries.values()))

    def register(self, key: Hashable, ref: Ref[S] | None = None, value: object = None) -> None:
        """Register a process under `key`: the process of `ref`, or the one that runs now.

        Raises `NameTaken` when a unique key has a process already, even this one; `NoProcess` when the process does not
        run; and `OutsideProcess` without `ref` outside of a process.
        """
        process = self._process(ref)
        if not process.is_running:
            raise NoProcess(process.name)
        self._adopt(process.scheduler)
        entries = self._entries.setdefault(key, [])
        if entries and self._is_unique:
            raise NameTaken(str(key))
        entries.append(RegistryEntry(cast("Ref[S]", Ref(process)), value))
        keys = self._keys.get(process)
        if keys is None:
            keys = self._keys[process] = []
            process.on_exit(self, lambda _: self._forget(process))
        keys.append(key)

    def unregister(self, key: Hashable, ref: Ref[S] | None = None) -> None:
        """Remove all entries under `key` of a process: the process of `ref`, or the one that runs now."""
        process = self._process(ref)
        keys = self._keys.get(process, [])
        if key in keys:
            self._take_out(process, key)
            keys[:] = [other for other in keys if other != key]
            if not keys:
                del self._keys[process]
                process.remove_on_exit(self)

    def update_value(self, key: Hashable, update: Callable[[object], object], ref: Ref[S] | None = None) -> None:
        """Replace the value of each entry of a process under `key` by `update(value)`."""
        process = self._process(ref)
        entries = self._entries.get(key, [])
        entries[:] = [
            RegistryEntry(entry.ref, update(entry.value)) if self._is_of(entry, process) else entry for entry in entries
        ]

    def lookup(self, key: Hashable) -> list[RegistryEntry[S]]:
        """Return the entries under `key`, oldest first."""
        self._check("lookup in")
        return list(self._entries.get(key, ()))

    def whereis(self, key: Hashable) -> Ref[S]:
        """Return the process under `key`, the oldest of several. Raises `NoProcess` when there is none."""
        entries = self.lookup(key)
        if not entries:
            raise NoProcess(str(key))
        return entries[0].ref

    def keys(self, ref: Ref[S] | None = None) -> list[Hashable]:
        """Return the keys of a process, oldest first: the process of `ref`, or the one that runs now."""
        return list(self._keys.get(self._process(ref), ()))

    def dispatch(self, key: Hashable, function: Callable[[list[RegistryEntry[S]]], object]) -> None:
        """Call `function` at once with the entries under `key`, oldest first, unless there are none.

        ``registry.dispatch("news", lambda entries: [entry.ref.info("hello") for entry in entries])`` publishes.
        """
        entries = self.lookup(key)
        if entries:
            function(entries)

    def _process(self, ref: Ref[S] | None) -> Process[object]:
        if ref is not None:
            return process_behind(ref, "entry of")
        process = CURRENT.get(None)
        if process is None:
            raise OutsideProcess("Registry")
        process.scheduler.check_loop("entry of", process.name)
        return process

    def _adopt(self, scheduler: Scheduler) -> None:
        """Bind the registry to the loop of the registered processes."""
        if self._keys:
            self._check("entry into")
        self._scheduler = scheduler

    def _check(self, doing: str) -> None:
        if self._scheduler is not None and self._keys:
            self._scheduler.check_loop(doing, "registry")

    def _forget(self, process: Process[object]) -> None:
        """Remove all entries of a process whose life has ended."""
        for key in dict.fromkeys(self._keys.pop(process, ())):
            self._take_out(process, key)

    def _take_out(self, process: Process[object], key: Hashable) -> None:
        kept = [entry for entry in self._entries[key] if not self._is_of(entry, process)]
        if kept:
            self._entries[key] = kept
        else:
            del self._entries[key]

    @staticmethod
    def _is_of(entry: RegistryEntry[S], process: Process[object]) -> bool:
        return cast("object", entry.ref._process) is process  # noqa: SLF001 - the process behind the reference
