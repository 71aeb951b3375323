"""The frames between an executor and its OS processes: calls, and their outcomes."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headrace.errors import class_and_message
from headrace.executors.call import Raised, Returned
from headrace.executors.errors import (
    BadFunction,
    NotReachable,
    RemoteError,
    ResultTooLarge,
    UnguardedMain,
    Unpicklable,
)
from headrace.executors.worker_main import (
    CALL,
    ERROR,
    HEADER,
    RESULT,
    UNGUARDED,
    UNPICKLABLE,
    UNREACHABLE,
    Settings,
    Unpickler,
)

PROTOCOL: Final = 5


class RemoteTraceback(Exception):
    """The cause of an error from another OS process: its text is the traceback there."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"\n{text}")


def packed_settings(imports: tuple[str, ...], max_result_bytes: int) -> bytes:
    """Return the frame with the module paths and settings of a new OS process."""
    settings = Settings(list(sys.path), list(sys.argv), main_source(), imports, max_result_bytes)
    return _frame(CALL, pickle.dumps(tuple(settings), PROTOCOL))


def packed_call(
    name: str, function: Callable[..., object] | str, args: tuple[object, ...], kwargs: dict[str, object]
) -> bytes:
    """Return the frame of a call. Raises Unpicklable and BadFunction."""
    if isinstance(function, str) and not all(function.partition(":")):
        raise BadFunction(name, 'does not name a function: write "module:function"')
    try:
        payload = pickle.dumps((function, args, kwargs), PROTOCOL)
    except Exception as error:
        raise Unpicklable(name, "the function or an argument", class_and_message(error)) from error
    return _frame(CALL, payload)


def unpacked(name: str, kind: bytes, payload: bytes, max_result_bytes: int) -> Returned[object] | Raised:
    """Return the outcome of a call, from its frame."""
    if kind == RESULT:
        return _result(name, payload)
    if kind == ERROR:
        return Raised(unpacked_error(name, payload))
    text = payload.decode(errors="replace")
    if kind == UNREACHABLE:
        return Raised(NotReachable(name, text))
    if kind == UNGUARDED:
        return Raised(UnguardedMain(name))
    if kind == UNPICKLABLE:
        return Raised(Unpicklable(name, "the result", text))
    return Raised(ResultTooLarge(name, int(text), max_result_bytes))


def main_source() -> tuple[str, str] | None:
    """Return how another OS process can import our main script; None when it is not a file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return "module", spec.name
    path = getattr(main, "__file__", None)
    return ("path", path) if path is not None and Path(path).exists() else None


def _frame(kind: bytes, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def _result(name: str, payload: bytes) -> Returned[object] | Raised:
    try:
        return Returned(Unpickler(payload, None).load())
    except Exception as error:  # noqa: BLE001 - a __setstate__ may raise anything, and the caller gets it
        return Raised(Unpicklable(name, "the result", class_and_message(error)))


def unpacked_error(name: str, payload: bytes) -> Exception:
    """Return the error of the function, or a RemoteError where it cannot be unpickled here."""
    class_name, message, text, pickled = Unpickler(payload, None).load()
    error: object = None
    if pickled is not None:
        try:
            error = Unpickler(pickled, None).load()
        except Exception:  # noqa: BLE001 - many classes cannot be unpickled, and RemoteError has all that is known
            error = None
    if not isinstance(error, Exception):
        error = RemoteError(name, class_name, message, text)
    error.__cause__ = RemoteTraceback(text)
    return error
