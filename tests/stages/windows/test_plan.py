"""A result has its bounds, its groups, its values and its revision."""

from headrace.stages.windows.measures import GroupState, Measure, MeasurePlan

ALL = {
    "n": Measure("count"),
    "sum": Measure("sum", 0),
    "mean": Measure("mean", 0),
    "least": Measure("min", 0),
    "most": Measure("max", 0),
    "median": Measure("quantile", 0, 0.5),
    "top": Measure("quantile", 0, 1),
    "kinds": Measure("distinct", 1),
}


def filled(plan: MeasurePlan, *rows: tuple[object, ...]) -> GroupState:
    cell = GroupState(plan.accumulators())
    cell.rows.extend(rows)
    return cell


def test_every_kind_of_value_is_there_under_its_name() -> None:
    plan = MeasurePlan([], ALL)
    (result,) = plan.results(0, 60_000_000, {(): filled(plan, (5, "x"), (1, "y"), (3, "x"))})
    assert result == {
        "window_start": "1970-01-01T00:00:00Z",
        "window_end": "1970-01-01T00:01:00Z",
        "n": 3,
        "sum": 9,
        "mean": 3.0,
        "least": 1,
        "most": 5,
        "median": result["median"],
        "top": 5,
        "kinds": 2,
        "revision": 1,
    }
    assert abs(float(str(result["median"])) - 3) <= 0.03


def test_what_can_be_shared_is_kept_once() -> None:
    plan = MeasurePlan([], ALL)
    assert len(plan.accumulators()) == 5
    assert plan._columns == [0, 0, 0, 0, 1]


def test_a_group_is_named_by_its_keys() -> None:
    one = MeasurePlan(["team"], {"n": Measure("count")})
    two = MeasurePlan(["team", "town"], {"n": Measure("count")})
    assert one.results(0, 1, {None: filled(one, ())})[0]["team"] is None
    result = two.results(0, 1, {("a", 7): filled(two, ())})[0]
    assert (result["team"], result["town"]) == ("a", 7)


def test_each_result_of_a_group_has_a_higher_revision() -> None:
    plan = MeasurePlan([], {"n": Measure("count")})
    cell = filled(plan, (), ())
    assert [plan.results(0, 1, {(): cell})[0]["revision"] for _ in range(3)] == [1, 2, 3]
