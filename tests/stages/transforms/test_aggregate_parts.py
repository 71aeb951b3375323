"""What options say becomes a reader and windows, and together they account for every event."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.transforms.aggregate import make_reader, make_windows
from headrace.stages.transforms.aggregate_options import AggregateOptions
from headrace.stages.windows.aligned_windows import AlignedWindows
from headrace.stages.windows.group_windows import CountWindows, SessionWindows

VALUES: dict[str, object] = {
    "n": "count",
    "sum": {"sum": "event.n"},
    "mean": {"mean": "event.n"},
    "most": {"max": "event.n"},
    "median": {"quantile": "event.n", "at": 0.5},
    "kinds": {"distinct": "event.n"},
}
WINDOWS: list[dict[str, object]] = [
    {"tumbling": "10s"},
    {"session": "10s"},
    {"count": 3},
    {"hopping": "10s", "every": "10s"},
]
TIMES = st.integers(0, 100) | st.floats(0, 100) | st.just("never") | st.none()
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"at": TIMES, "n": st.integers(-5, 5) | st.just("x")}, optional={"team": st.sampled_from("ab")}
    ),
    max_size=40,
)


def options(window: dict[str, object], **keys: object) -> AggregateOptions:
    given = {"window": window, "time": "event.at", "by": {"team": "event.team"}, "values": VALUES, **keys}
    return AggregateOptions.model_validate(given)


def batches(events: list[dict[str, object]], sizes: list[int]) -> Iterator[list[dict[str, object]]]:
    begin = 0
    for size in [*sizes, len(events)]:
        yield events[begin : begin + size]
        begin += size


@given(EVENTS, st.lists(st.integers(1, 9), max_size=8), st.sampled_from(WINDOWS), st.integers(1, 3), st.integers(1, 3))
def test_every_event_is_counted_once_or_late_or_failed(
    events: list[dict[str, object]], sizes: list[int], window: dict[str, object], groups: int, windows: int
) -> None:
    told = options(window, max_groups=groups, max_windows=windows)
    reader, made = make_reader(told, lambda: 0.0), make_windows(told)
    failed: list[int] = []
    late = 0
    for batch in batches(events, sizes):
        reading = reader.read_each(batch, lambda position, _: failed.append(position))
        if reading.times is not None:
            late += len(made.take(reading.times, reading.keys, reading.rows))
    made.close()
    counted = sum(int(str(result["n"])) for result in made.results())
    assert counted + late + len(failed) == len(events)


def test_each_kind_of_window_has_its_class() -> None:
    kinds = [type(make_windows(options(window))) for window in WINDOWS]
    assert kinds == [AlignedWindows, SessionWindows, CountWindows, AlignedWindows]


def test_an_expression_is_read_once_however_many_values_are_of_it() -> None:
    told = options({"tumbling": "1m"}, values={**VALUES, "low": {"min": "event.n"}, "other": {"sum": "event.n + 1"}})
    assert len(make_reader(told, lambda: 0.0)._columns) == 3
