"""The checked key `dead_letters:` becomes the store that keeps them."""

from headrace.config.keys.dead_letters import DeadLettersKeys
from headrace.pipeline.acknowledgement.dead_letters import DeadLetters
from headrace.pipeline.acknowledgement.letter_bounds import LetterBounds
from headrace.pipeline.acknowledgement.sqlite.url import dead_letters_of


def build_dead_letters(keys: DeadLettersKeys) -> DeadLetters:
    """Return the store, not open yet."""
    return dead_letters_of(keys.store, LetterBounds(keys.max_age, keys.max_size, keys.max_events))
