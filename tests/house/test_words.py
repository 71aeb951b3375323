"""The code speaks the words of the glossary: a count of a banned word may fall, never rise."""

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

LIMITS_A: Final[dict[str, int]] = {}
LIMITS_B: Final[dict[str, int]] = {}
LIMITS_C: Final[dict[str, int]] = {
    "what (?:is|was|has|it|they|becomes?|became|came)": 369,
    "(?:becomes?|became|come|came) of": 21,
    "take note": 15,
    "do the same": 23,
    "those (?:who|that|of)": 125,
    "nobody": 47,
    "somebody": 24,
    "whoever": 20,
    "lets? go of": 24,
    "said": 39,
    "set aside": 3,
    "doubles?": 9,
    WHAT: 106,
}


def _over(found: Counter[str], limits: dict[str, int]) -> dict[str, str]:
    return {
        word: f"{number}, and {limits.get(word, 0)} is the limit"
        for word, number in found.items()
        if number > limits.get(word, 0)
    }


def test_names_and_docstrings_have_no_banned_word_of_group_a() -> None:
    found = modules()
    names = count(GROUP_A, names_in(found, ALLOWED))
    texts = (text.replace(" ", "_").replace("-", "_") for _, tree in found for text in docstrings(tree))
    assert _over(names + count(GROUP_A, texts), LIMITS_A) == {}


def test_names_have_no_banned_word_of_group_b() -> None:
    assert _over(count(GROUP_B, names_in(modules(), ALLOWED)), LIMITS_B) == {}


def test_docstrings_have_no_banned_phrase_of_group_c() -> None:
    texts = [text for _, tree in modules() for text in docstrings(tree)]
    found = count(GROUP_C, texts)
    found[WHAT] = sum(text.startswith("what ") for text in texts)
    assert _over(found, LIMITS_C) == {}


def test_at_most_ten_names_of_others_are_allowed() -> None:
    assert len(ALLOWED) <= 10
