"""Stage classes that custom_stages.yaml uses."""

from pydantic import BaseModel, ConfigDict, Field

from headrace import Consumer, Producer, ProducerConsumer


class Countdown(Producer[int]):
    """A source: emits the numbers from `start` down to 1."""

    class Options(BaseModel):
        """The keys of this stage, beside the keys of every stage."""

        model_config = ConfigDict(extra="forbid")

        start: int = Field(default=10, ge=1)

    def __init__(self, options: Options) -> None:
        self.next = options.start

    def handle_demand(self, demand: int) -> list[int]:
        """Return at most `demand` numbers."""
        numbers = list(range(self.next, max(self.next - demand, 0), -1))
        self.next -= len(numbers)
        if self.next == 0:
            self.complete()
        return numbers


class Steps(ProducerConsumer[int, int]):
    """A stage in the middle, without options: the difference between each number and the one before."""

    def __init__(self) -> None:
        self.last = 0

    def handle_events(self, events: list[int]) -> list[int]:
        """Return one difference for each number."""
        differences = [number - before for before, number in zip([self.last, *events], events, strict=False)]
        self.last = events[-1]
        return differences


class Total(Consumer[int]):
    """A sink: adds up its events, and prints the sum at the end."""

    def __init__(self) -> None:
        self.sum = 0

    def handle_events(self, events: list[int]) -> None:
        """Add a batch."""
        self.sum += sum(events)

    def terminate(self, reason: object) -> None:
        """Print the sum when the run ends."""
        print(f"total {self.sum} ({reason})")
