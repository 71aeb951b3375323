"""Mail of one life: continuations come first, and all of it goes when the life ends, whatever else waits."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.otp.process.mailbox import Continuation, Envelope, Mailbox, OwnEnvelope

STEPS = st.lists(st.sampled_from(["cast", "info", "own", "first", "take", "drop_own", "drop_odd"]), max_size=40)


class Model:
    """What a mailbox is to hold: a list of kinds and numbers."""

    def __init__(self) -> None:
        self.mail: list[tuple[str, int]] = []

    def put_first(self, number: int) -> None:
        before = next((place for place, (kind, _) in enumerate(self.mail) if kind != "first"), len(self.mail))
        self.mail.insert(before, ("first", number))

    def drop(self, *, is_odd_only: bool) -> None:
        self.mail = [
            (kind, number)
            for kind, number in self.mail
            if kind in ("cast", "info") or (is_odd_only and number % 2 == 0)
        ]


def _mail(kind: str, number: int) -> Envelope:
    if kind == "cast":
        return Envelope(print, (number,))
    return (OwnEnvelope if kind == "own" else Envelope)(None, (number,))


def _is_odd(mail: OwnEnvelope) -> bool:
    (number,) = mail.args
    assert isinstance(number, int)
    return number % 2 == 1


@given(steps=STEPS)
def test_a_mailbox_keeps_order_whatever_comes_first_or_is_dropped(steps: list[str]) -> None:
    mailbox, model = Mailbox("owner"), Model()
    for number, step in enumerate(steps):
        if step == "first":
            mailbox.put_first(Continuation(None, (number,)))
            model.put_first(number)
        elif step == "take":
            if model.mail:
                assert mailbox.take().args == (model.mail.pop(0)[1],)
        elif step == "drop_own":
            mailbox.drop_own()
            model.drop(is_odd_only=False)
        elif step == "drop_odd":
            mailbox.drop(_is_odd)
            model.drop(is_odd_only=True)
        else:
            mailbox.put_nowait(_mail(step, number))
            model.mail.append((step, number))
        statistics = mailbox.statistics()
        assert statistics.waiting == len(mailbox) == len(model.mail)
        assert statistics.counted == sum(kind == "cast" for kind, _ in model.mail)
    assert [mail.args for mail in mailbox.close()] == [(number,) for _, number in model.mail]
    assert len(mailbox) == 0
