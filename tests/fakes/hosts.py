"""The stage behind a dispatcher, as plain lists of what it was told."""


class Notes:
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.discarded: dict[str, list[object]] = {}
        self.failed: list[tuple[object, BaseException]] = []
        self.said: list[str] = []
        self.messages: list[object] = []

    def data(self, events: list[object]) -> list[object]:
        return events

    def discard(self, events: list[object], reason: str) -> None:
        self.discarded.setdefault(reason, []).extend(events)

    def fail(self, event: object, error: BaseException) -> None:
        self.failed.append((event, error))

    def warn(self, sentence: str) -> None:
        self.said.append(sentence)

    def reached(self, message: object) -> None:
        self.messages.append(message)
