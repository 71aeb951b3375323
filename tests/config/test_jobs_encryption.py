"""The key of encrypted args in the block `jobs:`: it is checked, used, and never shown."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.config.check.config import Config
from headrace.config.files import load_text
from headrace.config.jobs import build_jobs, crontab
from headrace.config.text.findings import ConfigError
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.encryption import ArgsCipher, new_key
from headrace.jobs.stores.memory_store import MemoryStore
from tests.fakes import job_results as workers

MODULE = workers.__name__
KEY, OTHER = new_key(), new_key()
BLOCK = f"jobs:\n  store: 'memory:'\n  modules: {MODULE}\n"


def checked(rest: str, environ: Mapping[str, str], *, imports: bool = True) -> Config:
    return load_text(BLOCK + rest, environ=environ, imports=imports)


def jobs_of(rest: str, **environ: str) -> Jobs:
    configured = checked(rest, environ).jobs
    assert configured is not None
    return build_jobs(configured)


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave `sys.path` as it was: checking with imports puts the config's folder first."""
    monkeypatch.syspath_prepend(Path.cwd())


@pytest.mark.asyncio
async def test_the_key_of_a_config_keeps_args_unreadable_and_opens_them() -> None:
    async with jobs_of("  queues: {default: 1}\n  encryption_key: ${KEY}", KEY=KEY):
        handle = await workers.secret.enqueue("tea")
        assert list((await handle.job()).args) == ["encrypted"]
        assert await handle.result(5) == 3


def test_a_new_key_stands_before_the_old_one() -> None:
    cipher = jobs_of("  encryption_key: ['${NEW}', '${OLD}']", NEW=KEY, OLD=OTHER).settings.cipher
    assert cipher is not None
    old = ArgsCipher([OTHER]).sealed(workers.secret.new("tea"))
    assert cipher.opened(old.args) == {"key": "tea"}
    assert ArgsCipher([KEY]).opened(cipher.sealed(workers.secret.new("tea")).args) == {"key": "tea"}


@pytest.mark.asyncio
async def test_the_crontab_keeps_args_unreadable_too() -> None:
    entry = f"{{schedule: '@daily', worker: {MODULE}.secret, args: {{key: tea}}, name: daily}}"
    configured = checked(f"  cron: [{entry}]\n  encryption_key: ${{KEY}}", {"KEY": KEY}).jobs
    assert configured is not None
    jobs, store = build_jobs(configured), MemoryStore()
    await crontab(configured.keys, configured.workers, store, jobs.settings).run_now("daily")
    (job,) = await store.find(JobFilter(), 10)
    assert list(job.args) == ["encrypted"]


def test_a_worker_with_encrypted_args_and_no_key_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        checked("", {})
    (found,) = caught.value.findings
    assert (found.code, found.line, found.column) == ("missing-key", 3, 12)
    assert f"the worker {MODULE}.secret keeps its args encrypted: give `encryption_key:`" in found.message


def test_without_imports_no_key_is_missed() -> None:
    assert checked("", {}, imports=False).jobs is not None


@pytest.mark.parametrize("imports", [True, False])
@pytest.mark.parametrize("wrong", ["", "zq81canary", KEY[:-3], KEY[4:]], ids=["none", "word", "cut", "beheaded"])
def test_what_is_no_key_is_told_where_it_is_and_not_shown(wrong: str, *, imports: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        checked("  encryption_key: ['${KEY}', '${WRONG}']", {"KEY": KEY, "WRONG": wrong}, imports=imports)
    (found,) = caught.value.findings
    assert (found.code, found.line, found.column) == ("bad-value", 4, 30)
    assert "the key of encrypted args is none: give 32 bytes" in found.message
    for line in (repr(found), caught.value.as_text()):
        assert KEY[8:16] not in line
        assert "zq81" not in line


def test_a_variable_that_is_not_set_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        checked("  encryption_key: ${KEY}", {})
    assert len(caught.value.findings) == 1


def test_nothing_of_a_config_shows_its_key() -> None:
    config = checked("  encryption_key: ${KEY}", {"KEY": KEY})
    assert config.jobs is not None
    for line in (repr(config), repr(config.jobs), repr(config.jobs.keys), config.jobs.keys.model_dump_json()):
        assert KEY not in line
