"""What checking a config must not cost."""

import subprocess
import sys

HEAVY = ("aiostream", "starlette", "uvicorn", "rich", "typer", "prometheus_client", "headrace.pipeline.topology.run")

RUNNING = (
    "sqlite3",
    "headrace.database.sqlite_threads",
    "headrace.executors",
    "headrace.pipeline.engine.stage_process",
    "headrace.pipeline.topology.link",
)
"""What only a run needs."""

JOBS = ("cronsim", "headrace.jobs", "headrace.jobs.rules.cron", "headrace.jobs.worker", "headrace.jobs.stores.store")
"""What only a file with the block `jobs:` needs."""

STAGES = "stages: {numbers: {type: generate, count: 1}, out: {type: discard, subscribe_to: numbers}}"
SHORT = f"{{dead_letters: 'sqlite:///var/dead.db', {STAGES}}}"
WITH_JOBS = f"{{jobs: {{store: 'memory:'}}, {STAGES}}}"


def loaded(names: tuple[str, ...], text: str = "") -> list[str]:
    """Return which of the modules are loaded once a text was checked, or nothing but what it takes to check one."""
    code = "from headrace.config.files import load_text\nimport sys\n"
    code += f"assert load_text({text!r}).stages\n" if text else ""
    code += f"print(*[name for name in {names} if name in sys.modules])"
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_checking_a_config_loads_no_listener_no_terminal_and_no_run() -> None:
    assert loaded(HEAVY) == []


def test_checking_a_config_loads_nothing_that_only_a_run_needs() -> None:
    assert loaded(RUNNING, SHORT) == []


def test_jobs_are_loaded_for_a_file_that_has_them_and_for_no_other() -> None:
    assert loaded(JOBS, SHORT) == []
    assert loaded(JOBS, WITH_JOBS) == list(JOBS)


def test_a_command_and_a_pipeline_whose_stages_are_read_load_no_aiostream() -> None:
    code = "import sys, headrace, headrace.console.cli.main, headrace.pipeline.topology.handle; headrace.Pipeline; "
    code += "print('aiostream' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
