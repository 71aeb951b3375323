import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import EncryptionError
from headrace.jobs.job import NewJob, Unique
from headrace.jobs.rules.unique import key_of
from headrace.jobs.running.encryption import ArgsCipher, new_key

KEY, OTHER = new_key(), new_key()
CIPHER = ArgsCipher([KEY])
CARD = NewJob("shop.pay", {"card": "4111 1111", "amount": 5}, meta={"by": "ann"})
JSON = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()), max_size=4)


@given(args=JSON)
def test_args_come_back_as_they_were(args: dict[str, object]) -> None:
    sealed = CIPHER.sealed(NewJob("shop.pay", args))
    assert list(sealed.args) == ["encrypted"]
    assert CIPHER.opened(json.loads(json.dumps(sealed.args))) == args


def test_nothing_of_the_args_can_be_read() -> None:
    sealed = CIPHER.sealed(CARD)
    assert "4111" not in repr(sealed)
    assert sealed.args != CIPHER.sealed(CARD).args
    assert (sealed.worker, sealed.meta, sealed.unique) == (CARD.worker, CARD.meta, None)


def test_a_new_key_goes_first_and_the_old_one_still_opens() -> None:
    sealed = CIPHER.sealed(CARD)
    both = ArgsCipher([OTHER, KEY])
    assert both.opened(sealed.args) == CARD.args
    assert ArgsCipher([OTHER]).opened(both.sealed(CARD).args) == CARD.args
    with pytest.raises(
        EncryptionError, match="none of the keys opens the encrypted args of the job: add the key"
    ) as lost:
        ArgsCipher([OTHER]).opened(sealed.args)
    assert KEY not in str(lost.value)


def test_args_from_before_the_encryption_are_read_as_they_are() -> None:
    for args in ({"sku": 7}, {}, {"encrypted": True}, {"encrypted": "x", "sku": 7}):
        assert CIPHER.opened(args) == args


@pytest.mark.parametrize(
    "unique",
    [Unique(), Unique(keys=frozenset({"card"})), Unique(fields=frozenset({"args", "meta"}), keys=frozenset({"by"}))],
)
def test_encrypted_jobs_are_unique_by_what_they_are_in_clear(unique: Unique) -> None:
    def key(card: str, by: str = "ann", cipher: ArgsCipher = CIPHER) -> str:
        sealed = cipher.sealed(NewJob("shop.pay", {"card": card}, meta={"by": by}, unique=unique))
        assert sealed.unique is not None
        return key_of(sealed, sealed.unique)

    assert key("4111") == key("4111")
    assert (key("4111") == key("4112")) == ("by" in unique.keys)
    assert (key("4111", "ann") == key("4111", "bob")) == ("meta" not in unique.fields)
    assert key("4111", cipher=ArgsCipher([OTHER])) != key("4111")


def test_what_does_not_compare_args_is_left_as_it_is() -> None:
    for unique in (Unique(fields=frozenset({"worker"})), Unique(key="mine")):
        assert CIPHER.sealed(NewJob("shop.pay", unique=unique)).unique == unique


@pytest.mark.parametrize("keys", [[], [""], ["short"], [KEY, "x" * 44], [KEY[:-2]]])
def test_what_is_no_key_is_refused_and_not_shown(keys: list[str]) -> None:
    with pytest.raises(EncryptionError, match="the key of encrypted args is none: give 32 bytes") as refused:
        ArgsCipher(keys)
    assert KEY[:6] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(EncryptionError, match=r"need the package cryptography: pip install 'headrace\[encrypt\]'"):
        ArgsCipher([KEY])


def test_a_cipher_shows_no_key() -> None:
    assert repr(CIPHER) == "<ArgsCipher>"
