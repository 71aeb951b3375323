"""The project on the page docs/testing.md works, and its tests pass."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_project_of_the_page_passes_its_tests(pytester: pytest.Pytester) -> None:
    text = PAGE.read_text()
    (settings,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    pytester.makepyprojecttoml(settings)
    files = re.findall(r"^```py\n# (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, code in files:
        (pytester.path / name).write_text(code)
    passed = sum(code.count("def test_") for _, code in files)
    assert passed >= 5
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=passed)
