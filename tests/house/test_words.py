"""The code speaks the words of the glossary: no banned word stands in its names and docstrings."""

from collections import Counter
from typing import Final

from tests.house.words import GROUP_A, GROUP_B, GROUP_C, WHAT, count, docstrings, modules, names_in

ALLOWED: Final = {
    "digest_size": "an argument of hashlib",
    "digest": "a method of hashlib",
    "compare_digest": "a function of hmac",
    "TypeGuard": "a name of typing",
    "start_mark": "an attribute of PyYAML",
    "end_mark": "an attribute of PyYAML",
    "problem_mark": "an attribute of PyYAML",
    "context_mark": "an attribute of PyYAML",
}
"""Names of others."""


def test_names_and_docstrings_have_no_banned_word_of_group_a() -> None:
    found = modules()
    names = count(GROUP_A, names_in(found, ALLOWED))
    texts = (text.replace(" ", "_").replace("-", "_") for _, tree in found for text in docstrings(tree))
    assert names + count(GROUP_A, texts) == Counter()


def test_names_have_no_banned_word_of_group_b() -> None:
    assert count(GROUP_B, names_in(modules(), ALLOWED)) == Counter()


def test_docstrings_have_no_banned_phrase_of_group_c() -> None:
    texts = [text for _, tree in modules() for text in docstrings(tree)]
    found = count(GROUP_C, texts)
    found[WHAT] = sum(text.startswith("what ") for text in texts)
    assert found == Counter()


def test_at_most_ten_names_of_others_are_allowed() -> None:
    assert len(ALLOWED) <= 10
