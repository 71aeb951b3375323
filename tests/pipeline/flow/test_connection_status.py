"""How long a failure of a connection counts."""

from headrace.pipeline.flow.counts import ConnectionStatus


def test_a_failure_counts_for_a_minute_once_no_event_waits() -> None:
    now = 0.0
    status = ConnectionStatus("peer", 60, lambda: now)
    status.down(OSError("refused"))
    assert not status.snapshot(is_idle=True).is_up
    now = 60.0
    assert not status.snapshot(is_idle=False).is_up
    assert status.snapshot(is_idle=True).is_up
    status.up()
    assert status.snapshot(is_idle=False).is_up
