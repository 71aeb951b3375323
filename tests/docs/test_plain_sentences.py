"""Sentences of the pages are plain: the phrases that readers stumbled over do not come back."""

import re

import pytest

from tests.docs.test_documents import DOCUMENTS

ODD = (
    r"further ones",
    r"what (they are|it is) at goes on",
    r"becomes of (it|each|more)\b",
    r"batch in hand",
    r"without a word",
    r"no room for (a|it|them)\b",
    r"hears? what",
    r"stages? gives? up",
)


@pytest.mark.parametrize("phrase", ODD)
def test_a_phrase_that_readers_stumbled_over_is_on_no_page(phrase: str) -> None:
    pattern = re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE)
    found = [
        f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for page, text in ((page, page.read_text()) for page in DOCUMENTS)
        for match in pattern.finditer(text)
    ]
    assert found == []
