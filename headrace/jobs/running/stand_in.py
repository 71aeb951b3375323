"""Stand-in: while a test has the workers of a `Jobs`, the tester's service does what that `Jobs` is asked."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class HasStandIn(Protocol):
    """A service that another one may stand in for."""

    @property
    def stand_in(self) -> object | None:
        """Who stands in for it now."""


S = TypeVar("S", bound=HasStandIn)


def by_stand_in(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Have the method of the stand-in called, while there is one."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.stand_in is None:
            return method(self, *args, **kwargs)
        return cast("R", getattr(self.stand_in, method.__name__)(*args, **kwargs))

    return call
