"""Prints every budget of headrace that can be measured, as `make bench` does."""

import asyncio
import platform
import statistics
import sys
from collections.abc import Callable, Coroutine, Iterator
from functools import partial

from benchmarks import gathering, hot, jobs, jobs_idle, jobs_large, windows
from benchmarks.chains import Work, calls, queues, stages
from benchmarks.executors import burning, inline, outside, round_trip_microseconds, start_seconds
from benchmarks.fans import acknowledged, broadcast, fan_in, plain_tasks
from benchmarks.measure import RUNS, Line, at_least, at_most, ratio
from benchmarks.processes import (
    calls as server_calls,
)
from benchmarks.processes import (
    casts,
    children,
    created_tasks,
    forgotten_tasks,
    plain_calls,
    plain_casts,
    server_bytes,
    started_tasks,
    task_bytes,
)
from benchmarks.shares import BY_DEMAND, BY_PARTITION, IN_TURN, one_queue, queues_by_partition, queues_in_turn, shared
from benchmarks.single import command_seconds, latencies, slow_consumer, start_ratio
from benchmarks.stages import AddOne, AddOneLater, Count, Ints, LooseInts, LoosePurchases, Purchases, SetField, Sum
from headrace.pipeline.stage.settings import Concurrency

WINDOWS = ((1000, 500, 2_000_000), (100, 50, 500_000), (10, 5, 100_000), (1, 0, 20_000))


FEW = 5
"""Pairs of runs for rows without a bound."""

Plain = Callable[[], Coroutine[None, None, float]]


def ints(max_demand: int, min_demand: int, total: int) -> Work:
    """Return the chain of integers."""
    return Work(Ints, LooseInts, AddOne, Sum, total, max_demand, min_demand)


def run(work: Callable[[], Coroutine[None, None, float]]) -> float:
    """Run a coroutine function that returns seconds in a loop of its own."""
    return asyncio.run(work())


def lines(part: str) -> Iterator[Line]:
    """Measure one part, or all parts with "", and yield a line for each row."""
    kept = (jobs.lines, jobs_idle.lines, jobs_large.lines)
    parts = {"": (machine, *kept), "machine": (machine,), "jobs": kept}
    if part not in parts:
        raise SystemExit(
            f"there is no part {part!r} to measure: take {', '.join(filter(None, parts))}, or none for all"
        )
    for measure in parts[part]:
        yield from measure()


def machine() -> Iterator[Line]:
    """Measure stages and processes.

    Functions in OS processes come first, so that both sides of the comparison run in a new process.
    """
    yield from executors()
    plain = {(1000, 500): (0.80, 0.88), (100, 50): (0.45, 0.55), (10, 5): (0.22, 0.30)}
    queued = {(1000, 500): 1.05, (100, 50): 1.5, (10, 5): 1.8}
    metered = {(1000, 500): 3.0, (10, 5): 15.0}
    for window in WINDOWS:
        work, name, key = ints(*window), f"{window[0]}/{window[1]}", window[:2]
        bound, aim = plain.get(key, (None, None))
        staged = partial(run, partial(stages, work))
        yield at_least(f"chain of ints {name}, against bare calls", ratio(partial(calls, work), staged), bound, aim)
        through = partial(run, partial(queues, work))
        yield at_least(f"chain of ints {name}, against asyncio.Queue(2)", ratio(through, staged), queued.get(key))
        blind = partial(run, partial(stages, work, measure=False))
        yield at_most(f"cost of metrics, chain {name}", (1 / ratio(blind, staged) - 1) * 100, metered.get(key), "%")
    dicts = Work(Purchases, LoosePurchases, SetField, Count, 200_000, 1000, 500)
    yield at_least(
        "dicts, one field set in a copy 1000/500, against bare calls",
        ratio(partial(calls, dicts), partial(run, partial(stages, dicts))),
        0.85,
    )
    later = Work(Ints, LooseInts, AddOneLater, Sum, 200_000, 1000, 500)
    sync = ints(1000, 500, 200_000)
    yield at_least(
        "one async stage 1000/500, against the sync chain",
        ratio(partial(run, partial(stages, sync)), partial(run, partial(stages, later))),
        None,
    )
    yield at_least(
        "broadcast to 3 consumers 100/50, against 3 plain lists", ratio(plain_tasks, partial(run, broadcast)), None
    )
    yield at_least(
        "2 producers into one chain 100/50, against 1 producer",
        ratio(partial(run, partial(stages, ints(100, 50, 200_000))), partial(run, fan_in)),
        None,
    )
    yield at_least(
        "acknowledged events 100/50, against plain events",
        ratio(partial(run, partial(stages, ints(100, 50, 50_000))), partial(run, acknowledged)),
        None,
    )
    yield from shares()
    yield from processes()
    yield from gathering.lines()
    yield from windows.lines()
    found = asyncio.run(latencies())
    yield at_most("idle latency through 3 stages, p50", statistics.median(found), 30, "µs")
    yield at_most("idle latency through 3 stages, p99", found[int(len(found) * 0.99)], None, "µs")
    grown, most, allowed = asyncio.run(slow_consumer())
    yield at_most("10 M events, consumer 10x slower: growth of memory", grown, 1, "MiB")
    yield at_most("10 M events, consumer 10x slower: most in flight", most, allowed, "events")
    yield at_most("headrace run of two idle stages, against its imports", start_ratio(), 2.0, "times")
    yield at_most("headrace --help", command_seconds("--help"), 0.4, "s")
    yield at_most("headrace validate", command_seconds("validate", "examples/purchases.yaml"), 0.4, "s")


def shares() -> Iterator[Line]:
    """Measure one stage with four consumers, and a long chain, against tasks with queues between them."""
    fans = (
        ("demand, against one asyncio.Queue", BY_DEMAND, one_queue),
        ("round_robin, against a queue each", IN_TURN, queues_in_turn),
        ("partition, against a queue each", BY_PARTITION, queues_by_partition),
    )
    for name, settings, plain in fans:
        ours = partial(run, partial(shared, settings))
        yield at_least(f"4 consumers 100/50 by {name}", ratio(partial(run, plain), ours, FEW), None)
    work = ints(100, 50, 200_000)
    ours = partial(run, partial(stages, work, middles=10))
    theirs = partial(run, partial(queues, work, middles=10))
    yield at_least("chain of 10 producer-consumers 100/50, against queues", ratio(theirs, ours, FEW), None)


def processes() -> Iterator[Line]:
    """Measure processes against bare tasks, futures and queues."""
    pairs: tuple[tuple[str, Plain, Plain], ...] = (
        ("ConsumerSupervisor, no-op children, against create_task", created_tasks, children),
        ("Task.start, against create_task", forgotten_tasks, started_tasks),
        ("GenServer calls, against a future in a queue", plain_calls, server_calls),
        ("GenServer casts, against Queue.put", plain_casts, casts),
    )
    for name, theirs, ours in pairs:
        yield at_least(name, ratio(partial(run, theirs), partial(run, ours), FEW), None)
    weight = run(server_bytes)
    yield at_most("memory of each of 10,000 GenServers", weight, None, "bytes")
    yield at_least("memory of each of 10,000 tasks with a queue, against that", run(task_bytes) / weight, None)


def executors() -> Iterator[Line]:
    """Measure functions that run in OS processes."""
    yield at_least("1 ms calls in 2 OS processes, against inline", ratio(inline, partial(run, outside)), 1.7)
    by_two = partial(run, partial(burning, Concurrency(2, "subprocess")))
    yield at_least(
        "map with 1 ms of work in 2 OS processes, against inline", ratio(partial(run, burning), by_two, FEW), 1.7
    )
    trips = statistics.median(run(round_trip_microseconds) for _ in range(FEW))
    yield at_most("one call to an OS process, with its reply", trips, None, "µs")
    starts = statistics.median(run(start_seconds) for _ in range(FEW))
    yield at_most("start, one call and end of an OS process", starts * 1000, None, "ms")


def main() -> None:
    """Print the table of docs/benchmarks.md, or compare the hot paths with another commit."""
    if sys.argv[1:2] == ["hot"]:
        sys.exit(hot.main(sys.argv[2:]))
    print(
        f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}, {platform.system()}"
    )
    print(f"Ratios are medians of {FEW} to {RUNS} pairs of runs; more is better.")
    print()
    print(f"| {'work':62} | {'result':>14} | {'bound':22} |            |")
    print(f"|{'-' * 64}|{'-' * 16}|{'-' * 24}|------------|")
    for line in lines(" ".join(sys.argv[1:])):
        mark = "" if line.is_met is None else ("met" if line.is_met else "**missed**")
        print(f"| {line.work:62} | {line.figure:>14} | {line.bound:22} | {mark:10} |", flush=True)


if __name__ == "__main__":
    main()
