"""What checking a config must not cost."""

import subprocess
import sys

HEAVY = ("starlette", "uvicorn", "rich", "typer", "prometheus_client", "headrace.pipeline.topology.run")


def test_checking_a_config_loads_no_listener_no_terminal_and_no_run() -> None:
    code = f"import sys, headrace.config.files; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
