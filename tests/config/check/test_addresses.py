"""Two that run at once cannot listen on one port: the second of them is a finding."""

from pathlib import Path

import pytest

from headrace.config.files import load_files, load_text
from headrace.config.text.findings import ConfigError, Finding

STAGES = "stages: {a: {type: tick, every: 1s}, b: {type: discard, subscribe_to: a}}\n"
HTTP = "listen: off\nstages: {a: {type: receive_http, listen: 'ADDRESS'}, b: {type: discard, subscribe_to: a}}\n"
STATSD = "listen: off\nstages: {a: {type: receive_statsd}, b: {type: discard, subscribe_to: a}}\n"


def findings(folder: Path, *texts: str) -> list[Finding]:
    paths = [folder / f"{number}.yaml" for number in range(len(texts))]
    for number, (path, text) in enumerate(zip(paths, texts, strict=True)):
        path.write_text(f"name: p{number}\n{text}")
    try:
        load_files(paths, environ={"PORT": "9000"}, imports=False)
    except ConfigError as error:
        return list(error.findings)
    return []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"listen: 127.0.0.1:9000\n{STAGES}", f"listen: 127.0.0.1:9000\n{STAGES}"),
        (
            f"listen: 127.0.0.1:9000\n{STAGES}",
            f"listen: {{address: '0.0.0.0:9000', token: 0123-4567-89ab-cdef}}\n{STAGES}",
        ),
        (f"listen: 127.0.0.1:9000\n{STAGES}", f"listen: localhost:${{PORT}}\n{STAGES}"),
        (f"listen: 127.0.0.1:9000\n{STAGES}", HTTP.replace("ADDRESS", "127.0.0.1:9000")),
        (HTTP.replace("ADDRESS", "127.0.0.1:9000"), HTTP.replace("ADDRESS", "127.0.0.1:9000")),
        (STATSD, STATSD),
    ],
)
def test_one_port_in_two_files_is_a_finding_in_the_second(tmp_path: Path, one: str, other: str) -> None:
    (found,) = findings(tmp_path, one, other)
    assert (found.code, found.file) == ("duplicate-address", str(tmp_path / "1.yaml"))
    assert "0.yaml, line " in found.message


def test_two_files_that_say_nothing_clash_at_the_default(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, STAGES, STAGES)
    assert found.message == (
        f"the run has no `listen:`, and so listens on 127.0.0.1:9470, but the run of {tmp_path}/0.yaml, line 1 listens "
        "on 127.0.0.1:9470 (the default: it has no `listen:`); choose another port in `listen:`, or `listen: off`"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"listen: 127.0.0.1:9000\n{STAGES}", f"listen: 127.0.0.1:9001\n{STAGES}"),
        (f"listen: 127.0.0.1:0\n{STAGES}", f"listen: 127.0.0.1:0\n{STAGES}"),
        (f"listen: 127.0.0.1:9000\n{STAGES}", f"listen: 127.0.0.2:9000\n{STAGES}"),
        (f"listen: 127.0.0.1:8125\n{STAGES}", STATSD),
        (f"listen: off\n{STAGES}", STAGES),
    ],
)
def test_different_ports_and_protocols_go_together(tmp_path: Path, one: str, other: str) -> None:
    assert findings(tmp_path, one, other) == []


def test_one_port_twice_in_a_file_is_a_finding() -> None:
    text = HTTP.replace("listen: off", "listen: 127.0.0.1:9000").replace("ADDRESS", "127.0.0.1:9000")
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={}, imports=False)
    (found,) = caught.value.findings
    assert (found.code, found.line) == ("duplicate-address", 2)


def test_what_a_variable_holds_is_not_shown(tmp_path: Path) -> None:
    text = f"listen: 127.0.0.1:${{PORT}}\n{STAGES}"
    (found,) = findings(tmp_path, text, text)
    assert "9000" not in str(found)
    assert found.found == "127.0.0.1:${PORT}"
