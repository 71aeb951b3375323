"""Every program, config and output that README and docs/ show is real."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config.files import load_file, load_text
from headrace.config.schema import schema
from headrace.config.text.findings import ConfigError
from headrace.dead_letters.metrics import DEAD_LETTER_METRICS
from headrace.jobs.metrics import CURRENT, QUEUE_GAUGES
from headrace.pipeline.metrics import PIPELINE_METRICS
from tests.fakes.declared_metrics import declared_metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return every code block of a language, with its page and line."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for block in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            found.append((f"{document.name}:{line}", block[1]))
    return found


@pytest.mark.parametrize(("place", "text"), blocks("yaml"))
def test_every_config_in_the_documents_is_valid(place: str, text: str) -> None:
    assert load_text(text, folder=ROOT, environ={}).stages, place


def test_the_findings_on_the_config_page_are_those_of_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    config = re.search(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```\n(shop\.yaml:.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert config
    assert shown
    wrong = re.search(r"^ +(\d+) \| (.*)$", shown[1], re.MULTILINE)
    assert wrong
    lines = config[1].splitlines()
    lines[int(wrong[1]) - 1] = wrong[2]
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        load_file("shop.yaml", environ={}, runs_alone=True)
    assert "\n\n".join(finding.as_text() for finding in caught.value.findings) == shown[1].rstrip()


def test_the_config_in_the_readme_prints_the_output_below_it(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    config = re.search(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```\n( stage .*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert config
    assert shown
    file = tmp_path / "till.yaml"
    file.write_text(config[1].replace("listen: 127.0.0.1:9470", "listen: off"))
    command = [sys.executable, "-P", "-m", "headrace", "run", str(file), "--summary", "-q"]
    wide = {**os.environ, "COLUMNS": "120"}
    printed = subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, check=True).stdout
    assert [line for line in map(_without_seconds, shown[1].splitlines()) if line not in _words(printed)] == []


def _words(text: str) -> set[str]:
    return {_without_seconds(line) for line in text.splitlines()}


def _without_seconds(line: str) -> str:
    """Return a line of a table without the widths of its columns and without times, which differ from run to run."""
    return re.sub(r"\d+\.\d+ s$", "", " ".join(line.split())).strip()


def test_the_changelog_has_each_heading_once_and_whole_tables() -> None:
    for version in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        headings = re.findall(r"^### .*", version, re.MULTILINE)
        assert sorted(headings) == sorted(set(headings))
        tables = re.findall(r"(?:^\|.*\n)+", version, re.MULTILINE)
        assert all(table.splitlines()[1].startswith("|---") for table in tables)


@pytest.mark.parametrize(("place", "text"), blocks("python"))
def test_every_program_in_the_documents_runs(place: str, text: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), place


def test_the_documents_have_programs_and_configs() -> None:
    assert len(blocks("python")) >= 3
    assert len(blocks("yaml")) >= 2


def test_every_metric_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(headrace_\w+)`", text, re.MULTILINE))
    specs = [*(metric.spec for metric in PIPELINE_METRICS), *(metric.spec for metric in DEAD_LETTER_METRICS)]
    exported = {spec.name for spec in (*specs, CURRENT, *QUEUE_GAUGES, *declared_metrics())}
    assert documented == exported | {"headrace_build_info"}


LINKED = [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("document", LINKED, ids=lambda document: document.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", document.read_text())
    assert [path for path, _ in targets if not (document.parent / path).exists()] == []
    pages = [((document.parent / path if path else document).resolve(), anchor) for path, anchor in targets if anchor]
    assert [(page.name, anchor) for page, anchor in pages if anchor not in anchors(page)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_documents_name_every_key_of_a_config_and_every_option_of_a_stage_type() -> None:
    names = set(properties(schema()))
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    assert len(names) > 100
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", text)) == []


def properties(node: object) -> Iterator[str]:
    """Yield the name of every property in a JSON Schema."""
    if isinstance(node, dict):
        found = node.get("properties")
        if isinstance(found, dict):
            yield from found
        for value in node.values():
            yield from properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from properties(value)
