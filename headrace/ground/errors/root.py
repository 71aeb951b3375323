"""The root of all errors, and the words for why a process ended."""


class HeadraceError(Exception):
    """The root: one sentence that says what, where and what to do."""


def describe(reason: object) -> str:
    """Return in words why a process ended.

    >>> describe("shutdown"), describe(KeyError("total")), describe(TimeoutError())
    ('it was told to stop', "KeyError: 'total'", 'TimeoutError')
    """
    if not isinstance(reason, BaseException):
        return {"normal": "it was done", "shutdown": "it was told to stop"}.get(str(reason), str(reason))
    text = str(reason)
    if text and isinstance(reason, HeadraceError | OSError):
        return text
    return f"{type(reason).__name__}: {text}" if text else type(reason).__name__
