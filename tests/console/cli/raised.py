"""Errors with the traceback that they would have had without a test around them."""

from collections.abc import Callable

import pytest


def raised(kind: type[BaseException], call: Callable[[], object]) -> BaseException:
    """Return what a call raises, without this frame in its traceback."""
    with pytest.raises(kind) as caught:
        call()
    own = caught.value.__traceback__
    return caught.value.with_traceback(own.tb_next if own else None)
