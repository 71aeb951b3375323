import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from traceback import format_exception
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from headrace.jobs.arguments import Arguments
from headrace.jobs.errors import BadArguments, BadWorker
from headrace.jobs.running_job import RunningJob
from tests.fakes.job_records import a_job


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Line:
    sku: int
    price: Decimal


class Order(BaseModel):
    id: uuid.UUID
    lines: list[Line]
    placed_at: datetime


class Special(Order):
    note: str


def build(sku: int, country: str = "eu", *, weight: float = 1.0, is_gift: bool = False) -> str:
    return f"{sku} {country} {weight} {is_gift}"


BUILD = Arguments(build, "shop.build")


def arguments(hint: object) -> Arguments:
    def one(value: object) -> None: ...

    one.__annotations__["value"] = hint
    return Arguments(one, "shop.one")


def test_arguments_are_bound_to_the_names_of_the_parameters() -> None:
    assert BUILD.bound((7, "us"), {}) == {"sku": 7, "country": "us"}
    assert BUILD.bound((7,), {"is_gift": True, "weight": 0.5}) == {"sku": 7, "is_gift": True, "weight": 0.5}


def test_defaults_that_are_left_out_stay_left_out() -> None:
    assert BUILD.bound((7,), {}) == {"sku": 7}


@given(
    sku=st.integers(), country=st.text(), weight=st.floats(allow_nan=False, allow_infinity=False), gift=st.booleans()
)
def test_what_was_bound_calls_the_function_as_it_was_called(
    sku: int, country: str, weight: float, *, gift: bool
) -> None:
    bound = BUILD.bound((sku, country), {"weight": weight, "is_gift": gift})
    places, names = BUILD.restored(bound, None)
    assert build(*places, **names) == build(sku, country, weight=weight, is_gift=gift)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (datetime, datetime(2026, 11, 24, 2, 55, 4, 123456, UTC)),
        (date, date(2026, 11, 24)),
        (timedelta, timedelta(seconds=1.5)),
        (Decimal, Decimal("1.10")),
        (uuid.UUID, uuid.uuid4()),
        (Colour, Colour.BLUE),
        (Path, Path("a/b")),
        (bytes, b"\xff\x00"),
        (Line, Line(7, Decimal("1.10"))),
        (list[Line], [Line(7, Decimal("1.10"))]),
        (Order, Order(id=uuid.uuid4(), lines=[Line(1, Decimal(2))], placed_at=datetime(2026, 1, 1, tzinfo=UTC))),
        (dict[str, set[int]], {"a": {1, 2}}),
        (tuple[int, str], (1, "a")),
        (Line | None, None),
        (int | str, "7"),
        (Literal["a", "b"], "b"),
        (Annotated[int, Field(gt=0)], 5),
        (Sequence[int], [1, 2]),
        (float, 1),
        (Any, {"a": [1, None]}),
    ],
)
def test_rich_types_come_back_from_json_as_they_were(hint: object, value: object) -> None:
    one = arguments(hint)
    names = one.restored(one.bound((value,), {}), None)[1]
    assert names == {"value": value}


@pytest.mark.parametrize(
    ("hint", "value", "why"),
    [
        (int, "seven", "is 'seven', and must be a whole number"),
        (Annotated[int, Field(gt=0)], -1, "is -1, and must be above 0"),
        (Colour, "green", "is 'green', and must be 'red' or 'blue'"),
        (float, float("nan"), "is nan, which no JSON can hold"),
        (list[float], [float("inf")], "which no JSON can hold"),
        (str, "\ud800", "which is broken text"),
        (int | Line, "x", "is 'x', and must be one of int, Line"),
        (object, object(), "which no JSON can hold"),
        (Any, datetime(2026, 1, 1, tzinfo=UTC), "would come back as str: annotate the parameter"),
        (str | Decimal, Decimal("1.5"), "would come back as str"),
        (
            Order,
            Special(id=uuid.uuid4(), lines=[], placed_at=datetime(2026, 1, 1, tzinfo=UTC), note="a"),
            "would come back as Order",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_sentence(hint: object, value: object, why: str) -> None:
    with pytest.raises(BadArguments) as refused:
        arguments(hint).bound((value,), {})
    assert str(refused.value).startswith("the argument 'value' of worker 'shop.one' is ")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refusal_names_the_place_inside_an_argument() -> None:
    with pytest.raises(
        BadArguments, match=r"argument 'value\.lines\.0\.price' .* is 'dear', and must be a decimal number"
    ):
        arguments(Order).bound(({"id": str(uuid.uuid4()), "lines": [{"sku": 1, "price": "dear"}]},), {})
    with pytest.raises(BadArguments, match=r"argument 'value' of .* and lacks 'sku'"):
        arguments(Line).bound(({"price": 1},), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "'sku' of worker 'shop.build' is missing: it needs sku"),
        ((1, "eu", 2.0), {}, "worker 'shop.build' takes 2 arguments by place, and was given 3"),
        ((1,), {"sku": 2}, "'sku' of worker 'shop.build' is given twice"),
        ((1,), {"contry": "eu"}, "'contry' of worker 'shop.build' is no parameter of it: did you mean 'country'?"),
        ((1,), {"zzz": 1}, "is no parameter of it: it has sku, country, weight, is_gift"),
    ],
)
def test_a_call_that_python_would_refuse_is_refused_when_it_is_enqueued(
    args: tuple[object, ...], kwargs: dict[str, object], why: str
) -> None:
    with pytest.raises(BadArguments) as refused:
        BUILD.bound(args, kwargs)
    assert why in str(refused.value)


@pytest.mark.parametrize("args", [{}, {"sku": "seven"}, {"sku": 1, "gone": 2}])
def test_args_that_fit_no_more_are_refused_at_run(args: dict[str, object]) -> None:
    with pytest.raises(BadArguments, match=r"of worker 'shop\.build' is "):
        BUILD.restored(args, None)


def test_many_calls_may_stand_in_tuples_and_dicts() -> None:
    assert BUILD.bound_of((7, "us")) == BUILD.bound_of([7, "us"]) == BUILD.bound_of({"sku": 7, "country": "us"})
    entry = "us"
    with pytest.raises(BadArguments, match="cannot be called with str: give its arguments in a tuple or in a dict"):
        BUILD.bound_of(entry)


def test_the_running_job_is_no_argument_and_is_given_wherever_it_stands() -> None:
    def first(job: RunningJob, sku: int) -> None: ...
    def last(sku: int, *, job: RunningJob | None = None) -> None: ...

    running = RunningJob(a_job())
    for function in (first, last):
        one = Arguments(function, "shop.one")
        assert one.bound((7,), {}) == {"sku": 7}
        assert one.restored({"sku": 7}, running) == ([], {"sku": 7, "job": running})
        with pytest.raises(BadArguments, match="is the running job, and not to be given"):
            one.bound((7,), {"job": running})


def test_parameters_by_place_alone_are_given_by_place() -> None:
    def pack(sku: int, country: str = "eu", /, weight: float = 1.0) -> None: ...

    one = Arguments(pack, "shop.pack")
    assert one.restored(one.bound((7,), {"weight": 2.5}), None) == ([7, "eu"], {"weight": 2.5})


def test_other_named_arguments_are_taken_where_the_function_takes_them() -> None:
    def tag(sku: int, **words: Decimal) -> None: ...

    one = Arguments(tag, "shop.tag")
    bound = one.bound((7,), {"price": Decimal("1.5")})
    assert bound == {"sku": 7, "price": "1.5"}
    assert one.restored(bound, None) == ([], {"sku": 7, "price": Decimal("1.5")})


def test_a_function_whose_arguments_have_no_names_is_refused() -> None:
    def add(*numbers: int) -> None: ...

    with pytest.raises(BadWorker, match=r"shop\.add cannot be a worker: \*numbers gives its arguments no names"):
        Arguments(add, "shop.add")


def test_an_annotation_that_no_json_holds_is_refused_when_the_worker_is_checked() -> None:
    class Socket: ...

    with pytest.raises(BadWorker, match="its 'value' cannot be kept as JSON"):
        arguments(Socket).check()
    with pytest.raises(BadWorker, match="its annotations cannot be read"):
        arguments("Nowhere").check()


def test_a_secret_is_in_no_sentence() -> None:
    def pay(card: int, amount: Mapping[str, int]) -> None: ...

    one = Arguments(pay, "shop.pay", is_secret=True)
    calls: list[tuple[object, object]] = [("4111-1111", {}), (1, {"4111": "dear"})]
    for args in calls:
        with pytest.raises(BadArguments, match="does not fit, and is secret") as refused:
            one.bound(args, {})
        assert "4111" not in "".join(format_exception(refused.value))


def test_plain_arguments_take_the_quick_way() -> None:
    """No clock decides: the quick way is the one that asks no codec."""
    shape = BUILD._shape()
    assert dict(shape.plain) == {"sku": int, "country": str, "weight": float, "is_gift": bool}
    assert BUILD.bound((7, "eu"), {"weight": 0.5}) == {"sku": 7, "country": "eu", "weight": 0.5}
