"""Files are set aside when they are large or old, none of their lines is lost, and no more are kept than said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.stages.files.output_file import RotatingFile, Rotation
from headrace.stages.sinks.write_lines import WriteLines, WriteLinesOptions
from tests.stages.runs import run_events


@given(st.integers(1, 1000), st.integers(0, 2000), st.floats(1, 1e6), st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_file_takes_no_more_once_it_is_as_large_or_its_time_is_over(
    limit: int, size: int, every: float, written: float, later: float
) -> None:
    now = written + later
    assert Rotation(size_bytes=limit).is_due(size, written, now) == (size >= limit)
    assert Rotation(every_seconds=every).is_due(size, written, now) == (size > 0 and now // every > written // every)
    assert not Rotation().is_due(size, written, now)


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_those_set_aside_are_numbered_and_the_oldest_go(tmp_path: Path, keep: int) -> None:
    file = RotatingFile(str(tmp_path / "out"), Rotation(size_bytes=4, keep=keep))
    file.open()
    for number in range(6):
        file.write(f"{number}{number}{number}\n".encode())
    file.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {f"out.{at}": f"{5 - at}" * 3 + "\n" for at in range(1, keep + 1)}
    assert found == {"out": "555\n", **kept}


def test_a_file_of_another_day_is_set_aside_before_the_next_line(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "out"
    file = RotatingFile(str(path), Rotation(every_seconds=86_400.0), lambda: now[0])
    file.open()
    file.write(b"one\n")
    now[0] = path.stat().st_mtime
    file.write(b"two\n")
    now[0] += 86_400.0
    file.write(b"three\n")
    file.close()
    assert (path.read_text(), (tmp_path / "out.1").read_text()) == ("three\n", "one\ntwo\n")


def by_age(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: -int(path.suffix[1:] or 0))


@pytest.mark.asyncio
@pytest.mark.parametrize("fsync", ["never", "batch", "10ms"])
async def test_a_stage_rotates_and_loses_no_line(tmp_path: Path, fsync: str) -> None:
    options = {"path": str(tmp_path / "out"), "rotate": {"size": "100B", "keep": 1000}, "fsync": fsync}
    events: list[object] = list(range(500))
    await run_events(events, WriteLines(WriteLinesOptions.model_validate(options)), max_demand=10)
    files = by_age(tmp_path)
    assert len(files) > 5
    assert [int(line) for path in files for line in path.read_text().splitlines()] == events


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"path": "-", "rotate": {"size": "1MiB"}}, "standard output cannot be rotated"),
        ({"path": "out", "rotate": {}}, "say when: by `size`, or `every` so often, or both"),
        ({"path": "out", "fsync": "sometimes"}, "is not a duration"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        WriteLinesOptions.model_validate(options)
