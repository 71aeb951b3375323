"""Where an error arose, and whose code that was."""

from headrace.errors.root import is_ours, origin
from headrace.units import UnitError, parse_duration


def users_own() -> None:
    raise ValueError("mine")


def raised(error: BaseException) -> BaseException:
    return error


def test_the_line_of_the_users_code_is_named() -> None:
    try:
        users_own()
    except ValueError as error:
        found = raised(error)
    assert (origin(found) or "").endswith("test_origin.py, line 8, in users_own")
    assert not is_ours(found)


def test_an_error_of_our_own_is_ours_and_its_caller_is_named() -> None:
    try:
        parse_duration("soon")
    except UnitError as error:
        found = raised(error)
    assert is_ours(found)
    assert (origin(found) or "").endswith("in test_an_error_of_our_own_is_ours_and_its_caller_is_named")


def test_an_error_that_was_never_raised_arose_nowhere() -> None:
    assert origin(ValueError("new")) is None
    assert not is_ours(ValueError("new"))
