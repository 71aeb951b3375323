"""Encrypts the args of jobs with Fernet (AES and an HMAC) of the `cryptography` package."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from typing_extensions import override

from headrace.jobs.errors import EncryptionError
from headrace.jobs.job import NewJob, Unique

ENCRYPTED: Final = "encrypted"
"""The only key of encrypted args; its value is a Fernet token of their JSON."""

_PURPOSE: Final = b"headrace.unique"
"""Makes the key of hashes differ from the key of tokens."""


class ArgsCipher:
    """Encrypts with the first key, and decrypts with any of them.

    To change the key, put a new key first, and keep the old keys until no stored job needs them. A key is 32 bytes in
    URL-safe base64, as `new_key` returns it. No log line and no error shows it.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises `EncryptionError` for a malformed key, or if `cryptography` is not installed."""
        try:
            from cryptography.fernet import Fernet, InvalidToken, MultiFernet  # noqa: PLC0415 - an optional driver
        except ImportError:
            missing, advice = "encrypted args need the package cryptography", "pip install 'headrace[encrypt]'"
            raise EncryptionError(missing, advice) from None
        if not keys:
            raise EncryptionError(*_NO_KEY)
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise EncryptionError(*_NO_KEY) from None
        self._invalid = InvalidToken
        self._hash_key = hashlib.blake2b(keys[0].encode(), person=_PURPOSE, digest_size=32).digest()

    @override
    def __repr__(self) -> str:
        return "<ArgsCipher>"

    def sealed(self, job: NewJob) -> NewJob:
        """Return the job with encrypted args. If it is unique, its unique key is a keyed hash of the plain values.

        After a change of the first key, a duplicate of an older job is not recognized.
        """
        text = json.dumps(job.args, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        args = {ENCRYPTED: self._fernet.encrypt(text.encode()).decode()}
        unique = job.unique
        if unique is not None and unique.key is None and "args" in unique.fields:
            unique = replace(unique, key=self._key_of(job, unique))
        return replace(job, args=args, unique=unique)

    def opened(self, args: Mapping[str, object]) -> dict[str, object]:
        """Return decrypted args. Plain args are returned unchanged, because older jobs may have them.

        Raises `EncryptionError` for a token that none of the keys decrypts.
        """
        token = args.get(ENCRYPTED)
        if len(args) != 1 or not isinstance(token, str):
            return dict(args)
        try:
            found: object = json.loads(self._fernet.decrypt(token))
        except (self._invalid, ValueError):
            found = None
        if not isinstance(found, dict):
            raise EncryptionError(*_NO_KEY_FITS)
        return found

    def _key_of(self, job: NewJob, unique: Unique) -> str:
        """Return the keyed hash of the args and the meta that make the job unique."""
        values = {"args": _chosen(job.args, unique)}
        if "meta" in unique.fields:
            values["meta"] = _chosen(job.meta, unique)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hmac.new(self._hash_key, text.encode(), hashlib.sha256).hexdigest()


def new_key() -> str:
    """Return a new random key. Keep it away from the store."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _chosen(values: Mapping[str, object], unique: Unique) -> dict[str, object]:
    return {key: value for key, value in values.items() if not unique.keys or key in unique.keys}


_NO_KEY: Final = (
    "the key of encrypted args is none",
    "give 32 bytes in URL-safe base64, as encryption.new_key() makes them",
)
_NO_KEY_FITS: Final = (
    "none of the keys opens the encrypted args of the job",
    "add the key that they were encrypted with behind the new one",
)
