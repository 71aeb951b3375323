"""Keys of any JSON value: lists, dicts and sets, too, can be told from others and kept in a dict."""

from collections.abc import Hashable
from typing import Final

_KEY_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})


class ValueKey:
    """Stands for a value that has no hash: two are equal where their values are. The value must not be changed."""

    __slots__ = ("_frozen", "_hash", "value")

    def __init__(self, value: object) -> None:
        """Raises TypeError for an object that nothing tells from others, RecursionError for one nested too deeply."""
        self.value = value
        self._frozen = _frozen(value)
        self._hash = hash(self._frozen)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValueKey) and self._frozen == other._frozen

    def __repr__(self) -> str:
        return repr(ordered(self.value))


def key_of(value: object) -> Hashable:
    """Return what stands for a value as a key: the value itself where it has a hash. Raises as `ValueKey`.

    >>> key_of("a"), key_of({"b": [1], "a": 2}) == key_of({"a": 2, "b": [1.0]})
    ('a', True)
    """
    if type(value) in _KEY_SCALARS:
        return value
    try:
        hash(value)
    except TypeError:
        return ValueKey(value)
    return value


def value_of(key: object) -> object:
    """Return the value for which a key stands.

    >>> value_of(key_of([1]))
    [1]
    """
    return key.value if isinstance(key, ValueKey) else key


def ordered(value: object) -> object:
    """Return a value with its dicts in the order of their keys, so that equal values have the same `repr`."""
    if isinstance(value, dict):
        return {key: ordered(below) for key, below in sorted(value.items(), key=lambda item: repr(item[0]))}
    if type(value) is list or type(value) is tuple:
        return type(value)(map(ordered, value))
    return value


def _frozen(value: object) -> object:
    if isinstance(value, dict):
        return dict, frozenset((key, _frozen(below)) for key, below in value.items())
    if isinstance(value, list | tuple):
        return list if isinstance(value, list) else tuple, tuple(map(_frozen, value))
    if isinstance(value, set):
        return set, frozenset(value)
    hash(value)
    return value
