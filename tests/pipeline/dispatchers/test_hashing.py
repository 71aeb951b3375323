"""The hash of partitions: the same in every OS process."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.dispatchers.partition import stable_hash

KEYS = ["", "eu", "\ud800", b"eu", 7, -7, True, None, 1.5, ("eu", 7)]


def test_another_os_process_hashes_alike() -> None:
    code = f"from headrace.pipeline.dispatchers.partition import stable_hash; print([stable_hash(k) for k in {KEYS!a}])"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "42"}
    )
    assert run.stdout.strip() == str([stable_hash(key) for key in KEYS])


@given(st.integers())
def test_a_number_is_its_own_hash_and_none_is_below_nothing(number: int) -> None:
    assert stable_hash(number) == number if number >= 0 else stable_hash(number) >= 0


@given(st.text())
def test_text_and_its_bytes_hash_alike(text: str) -> None:
    assert stable_hash(text) == stable_hash(text.encode("utf-8", "surrogatepass"))
