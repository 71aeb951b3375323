"""Subscribers of a dispatcher, as plain values."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Share:
    """One subscriber's part, and what it was delivered."""

    name: str = "share"
    selector: Callable[[object], bool] | None = None
    partition: Hashable | None = None
    weight: int = 1
    pending: int = 0
    asked: int = 0
    got: list[object] = field(default_factory=list)
