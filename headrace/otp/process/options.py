"""What options of processes must be: refused where they are said, rather than where they would first hurt."""

from headrace.errors import BadOption


def check_count(option: str, found: object, least: int, otherwise: str = "") -> None:
    """Raise `BadOption` unless `found` is a whole number, `least` or more; `otherwise` says what else is allowed."""
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise BadOption(option, found, f"a whole number, {least} or more{otherwise}")


def check_seconds(option: str, found: object, otherwise: str = "") -> None:
    """Raise `BadOption` unless `found` is a number of seconds, 0 or more; `otherwise` says what else is allowed."""
    if not isinstance(found, int | float) or isinstance(found, bool) or not found >= 0:
        raise BadOption(option, found, f"a number of seconds, 0 or more{otherwise}")


def check_timeout(option: str, found: object) -> None:
    """Raise `BadOption` unless `found` is a number of seconds or None; one below 0 is over already."""
    if found is not None and (not isinstance(found, int | float) or isinstance(found, bool)):
        raise BadOption(option, found, "a number of seconds, or None for ever")


def check_reason(found: object) -> None:
    """Raise `BadOption` unless `found` is a reason with which a process may be told to end."""
    if found not in ("normal", "shutdown") and not isinstance(found, BaseException):
        raise BadOption("reason", found, "'normal', 'shutdown' or an exception")
