"""Sentences of the pages are plain: the phrases that readers stumbled over do not come back."""

import re
from pathlib import Path

import pytest

from tests.docs.test_documents import DOCUMENTS
from tests.house.tree import ROOT
from tests.house.words import GROUP_C

ODD = (
    r"further ones",
    r"what (they are|it is) at goes on",
    r"batch in hand",
    r"without a word",
    r"no room for (a|it|them)\b",
    r"hears? what",
    r"stages? gives? up",
    *(rf"\b(?:{phrase})\b" for phrase in GROUP_C if phrase != "doubles?"),
)


@pytest.mark.parametrize("phrase", ODD)
def test_a_phrase_that_readers_stumbled_over_is_on_no_page(phrase: str) -> None:
    pattern = re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE)
    found = [
        f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for page, text in ((page, page.read_text()) for page in (*DOCUMENTS, ROOT / "CONTRIBUTING.md"))
        for match in pattern.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("page", DOCUMENTS[1:], ids=lambda page: page.name)
def test_a_page_begins_with_the_purpose_of_reading_it(page: Path) -> None:
    assert re.match(r"# .+\n\nAfter reading this page,? you (?:can|know) ", page.read_text())
