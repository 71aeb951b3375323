"""Functions of the main script: what works as people expect, and one sentence where it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

GUARDED = """
import asyncio
from headrace.executors.process_executor import ProcessExecutor

class Price:
    def __init__(self, cents):
        self.cents = cents

class Sold(Exception):
    pass

def dearer(price):
    return Price(price.cents + 1)

def sell():
    raise Sold("out")

async def main():
    async with ProcessExecutor(1) as executor:
        price = await executor.run(dearer, Price(99))
        print(type(price) is Price, price.cents)
        try:
            await executor.run(sell)
        except Sold as error:
            print("sold", error)
        try:
            await executor.run("__main__:sell")
        except Sold as error:
            print("sold", error)

print("loaded as", __name__)
if __name__ == "__main__":
    asyncio.run(main())
"""
GUARDED_SAID = "loaded as __main__\nloaded as __mp_main__\nTrue 100\nsold out\nsold out\n"

UNGUARDED = """
import asyncio
from headrace.executors.process_executor import ProcessExecutor

def twice(number):
    return 2 * number

async def main():
    async with ProcessExecutor(1) as executor:
        for _ in range(2):
            try:
                await executor.run(twice, 1)
            except Exception as error:
                print(error)
                raise

asyncio.run(main())
"""


def ran(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run Python, unbuffered, so that what several OS processes print stands in order."""
    command = [sys.executable, "-u", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, cwd=cwd)


def test_functions_and_classes_of_a_guarded_script_cross_both_ways(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(GUARDED)
    done = ran(str(tmp_path / "shop.py"))
    assert (sorted(done.stdout.splitlines()), done.stderr) == (sorted(GUARDED_SAID.splitlines()), "")


def test_functions_of_a_module_that_is_run_by_name_cross_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(GUARDED)
    done = ran("-m", "shop", cwd=tmp_path)
    assert (sorted(done.stdout.splitlines()), done.stderr) == (sorted(GUARDED_SAID.splitlines()), "")


def test_a_script_without_a_guard_is_told_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(UNGUARDED)
    done = ran(str(tmp_path / "shop.py"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "UnguardedMain: another OS process cannot load the main script for '__main__:twice', since the script would "
        "start OS processes there too: put what it runs under `if __name__ == '__main__':`, "
        "or its functions in a module of their own"
    )


@pytest.mark.parametrize("how", ["-c", "-"])
def test_a_function_of_no_file_is_told_to_move_to_a_module(how: str) -> None:
    command = [sys.executable, how, *([GUARDED] if how == "-c" else [])]
    done = subprocess.run(command, input=GUARDED, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 1
    assert "__main__ is no file, as with python -c or in a notebook" in done.stderr
    assert "define them at the top of a module" in done.stderr


def test_a_main_script_that_nobody_asks_for_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(UNGUARDED.replace("twice, 1", "divmod, 7, 2"))
    done = ran(str(tmp_path / "shop.py"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
