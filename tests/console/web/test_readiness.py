"""What probes are told of a pipeline."""

from dataclasses import replace

import pytest

from headrace.console.web.app import readiness
from headrace.pipeline.topology.snapshot import TopologySnapshot
from headrace.pipeline.topology.stall import Stall
from tests.console.cli.snapshots import stage

STALL = Stall("sink", 75.0, 3, "busy", ("source",))


def snapshot(stall: Stall | None) -> TopologySnapshot:
    sink = replace(stage("sink", "consumer"), stall=stall)
    return TopologySnapshot("shop", "running", (sink,), (), 0.0)


@pytest.mark.parametrize(
    ("state", "stall", "is_ready", "said"),
    [
        ("running", None, True, "running"),
        ("running", STALL, False, "degraded"),
        ("draining", STALL, False, "draining"),
        ("failed", None, False, "failed"),
        ("completed", None, True, "completed"),
        ("drained", None, False, "drained"),
    ],
)
def test_a_stage_that_holds_the_others_degrades_a_running_pipeline(
    state: str, stall: Stall | None, said: str, *, is_ready: bool
) -> None:
    told = readiness("shop", state, snapshot(stall), is_trusted=False)
    assert (told.is_ready, told.body["ready"], told.body["state"]) == (is_ready, is_ready, said)
    assert told.body["stalls"] == ([] if stall is None else [str(stall)])
    assert "stage 'sink' has done nothing for 75 s with 3 events waiting, and holds 'source'" in str(STALL)
