"""A function that needs computing time: it makes pseudonyms that are slow to guess."""

import hashlib
from collections.abc import Mapping

ROUNDS = 2_000
"""About a millisecond. Use a hundred times as many for real data."""

SALT = b"change me, and keep me"


def hide(event: Mapping[str, object]) -> dict[str, object]:
    """Return the purchase with a pseudonym in the place of its household."""
    household = str(event["household"]).encode()
    digest = hashlib.pbkdf2_hmac("sha256", household, SALT, ROUNDS)
    return {**event, "household": digest.hex()[:16]}
