"""Messages that wait behind events: reached in order, counted as nothing, and never dropped."""

from functools import partial

import pytest

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.settings import StageSettings
from tests.fakes.flow_stages import Silent
from tests.fakes.raw_ends import RawConsumer
from tests.fakes.stepping import alone, rest, started


class Informed(Silent):
    """Notes info, and after how many deliveries it came."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[object] = []

    def handle_info(self, message: object) -> None:
        self.messages.append(message)


async def _producer(settings: StageSettings) -> tuple[Informed, StageProcess]:
    informed = Informed()
    process = alone(informed, Scheduler(), settings)
    assert process.output is not None
    await started(process)
    return informed, process


@pytest.mark.asyncio
async def test_a_message_comes_at_once_when_nothing_is_buffered() -> None:
    informed, process = await _producer(StageSettings())
    consumer = RawConsumer("consumer", process)
    consumer.ask(3)
    informed.emit_nowait([1, 2])
    process._output.info("done")
    await rest(process.scheduler)
    assert informed.messages == ["done"]
    assert consumer.got == 2


@pytest.mark.asyncio
async def test_a_delivery_is_cut_in_two_at_a_message() -> None:
    informed, process = await _producer(StageSettings())
    consumer = RawConsumer("consumer", process)
    informed.emit_nowait([1, 2])
    process._output.info("between")
    informed.emit_nowait([3, 4])
    process._output.info("behind")
    assert process.estimate_buffered_count() == 4
    consumer.ask(1)
    await rest(process.scheduler)
    assert informed.messages == []
    consumer.ask(2)
    await rest(process.scheduler)
    assert (consumer.deliveries, informed.messages) == ([[1], [2], [3]], ["between"])
    consumer.ask(9)
    await rest(process.scheduler)
    assert (consumer.deliveries[3:], informed.messages) == ([[4]], ["between", "behind"])


@pytest.mark.asyncio
async def test_a_message_waits_behind_what_a_dispatcher_holds() -> None:
    settings = StageSettings(dispatcher=partial(PartitionDispatcher, 2, max_queue=2))
    informed, process = await _producer(settings)
    even, odd = (RawConsumer(str(own), process, to=SubscribeTo("stage", partition=own)) for own in (0, 1))
    informed.emit_nowait([1, 2, 3, 4, 5, 6])
    assert (process._output.buffered(), process._output.buffer.size) == (6, 2)
    process._output.info("behind all")
    for consumer, demand in ((even, 2), (odd, 3), (even, 1)):
        assert informed.messages == []
        consumer.ask(demand)
        await rest(process.scheduler)
    assert informed.messages == ["behind all"]
    assert (even.got, odd.got) == (3, 3)


@pytest.mark.asyncio
@pytest.mark.parametrize("keep", ["first", "last"])
async def test_a_message_is_kept_when_the_events_before_it_are_discarded(keep: str) -> None:
    informed, process = await _producer(StageSettings())
    informed.emit_nowait([1, 2, 3])
    process._output.info("behind 3")
    informed.emit_nowait([4])
    process._output.resize(1, "first" if keep == "first" else "last")
    await rest(process.scheduler)
    assert process.counts.discarded["overflow"] == 3
    assert informed.messages == ([] if keep == "first" else ["behind 3"])
    consumer = RawConsumer("consumer", process)
    consumer.ask(5)
    await rest(process.scheduler)
    assert informed.messages == ["behind 3"]
    assert consumer.deliveries == [[1 if keep == "first" else 4]]


@pytest.mark.asyncio
async def test_messages_are_reached_in_a_drain_that_nobody_reads() -> None:
    informed, process = await _producer(StageSettings())
    informed.emit_nowait([1, 2])
    process._output.info("behind")
    process.drain()
    await process.terminated
    assert informed.messages == ["behind"]
    assert process.counts.discarded["cancelled"] == 2


def _sizes(outlet: StageOutput) -> tuple[int, int]:
    return outlet.buffered(), outlet.counts.discarded["overflow"]


@pytest.mark.asyncio
async def test_a_smaller_buffer_discards_what_no_longer_fits_and_a_larger_one_takes_more() -> None:
    informed, process = await _producer(StageSettings(buffer_size=4))
    informed.emit_nowait([1, 2, 3, 4])
    process._output.resize(2, "first")
    assert _sizes(process._output) == (2, 2)
    process._output.resize(5, "last")
    informed.emit_nowait([5, 6, 7, 8])
    assert _sizes(process._output) == (5, 3)
    consumer = RawConsumer("consumer", process)
    consumer.ask(9)
    await rest(process.scheduler)
    assert consumer.deliveries == [[2, 5, 6, 7, 8]]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_said", [True, False])
async def test_a_stage_hears_what_its_buffer_could_not_keep_and_may_silence_the_log(
    is_said: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []

    class Overflowing(Silent):
        def format_discarded(self, count: int) -> bool:
            heard.append(count)
            return is_said

    overflowing = Overflowing()
    process = alone(overflowing, Scheduler(), StageSettings(buffer_size=1))
    await started(process)
    overflowing.emit_nowait([1, 2, 3])
    overflowing.emit_nowait([4])
    assert heard == [2, 1]
    assert process.counts.discarded["overflow"] == 3
    assert caplog.text.count("its buffer is full") == is_said
