"""What checking a config must not cost."""

import subprocess
import sys

HEAVY = ("starlette", "uvicorn", "rich", "typer", "prometheus_client.exposition")


def test_checking_a_config_loads_neither_the_listener_nor_the_terminal() -> None:
    code = f"import sys, headrace.config; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
