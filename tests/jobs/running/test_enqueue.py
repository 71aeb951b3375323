from dataclasses import replace

import pytest

from headrace.jobs.errors import EncryptionError
from headrace.jobs.job import Inserted, NewJob
from headrace.jobs.running.encryption import ArgsCipher, new_key
from headrace.jobs.running.enqueue import EnqueuePipeline, aligned, without_dropped
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.worker import worker
from tests.fakes.job_records import a_job


@worker(name="shop.pay", encrypted=True, aliases=["shop.old_pay"])
async def pay(card: str) -> None: ...


@worker(name="shop.build")
async def build(sku: int) -> None: ...


CATALOGUE = WorkerCatalogue([pay, build])
CIPHER = ArgsCipher([new_key()])


def test_the_args_of_workers_that_say_so_are_encrypted_after_all_middleware_has_seen_them() -> None:
    seen: list[object] = []

    def sees(job: NewJob) -> NewJob:
        seen.append(job.args)
        return job

    prepared = EnqueuePipeline(CATALOGUE, [sees], CIPHER).prepared([pay.new("4111"), build.new(7)])
    assert seen == [{"card": "4111"}, {"sku": 7}]
    assert [list(job.args) for job in prepared if job is not None] == [["encrypted"], ["sku"]]


@pytest.mark.parametrize("name", ["shop.pay", "shop.old_pay"])
def test_a_claimed_job_is_opened_for_its_worker(name: str) -> None:
    admission = EnqueuePipeline(CATALOGUE, (), CIPHER)
    sealed = admission.prepared([replace(pay.new("4111"), worker=name)])[0]
    assert sealed is not None
    job = a_job(name)
    job.args = dict(sealed.args)
    admission.open(job)
    assert job.args == {"card": "4111"}


def test_jobs_of_strangers_are_admitted_as_they_are() -> None:
    job = NewJob("elixir.Mailer", {"to": "ann"})
    assert EnqueuePipeline(CATALOGUE, (), CIPHER).prepared([job]) == [job]


def test_without_a_key_nothing_secret_is_admitted() -> None:
    admission = EnqueuePipeline(CATALOGUE)
    with pytest.raises(EncryptionError, match=r"worker 'shop\.pay' keeps its args encrypted, and there is no key"):
        admission.prepared([build.new(7), pay.new("4111")])


def test_what_a_middleware_drops_keeps_its_place() -> None:
    def few(job: NewJob) -> NewJob | None:
        return None if job.args["sku"] == 2 else job

    prepared = EnqueuePipeline(CATALOGUE, [few]).prepared([build.new(sku) for sku in (1, 2, 3)])
    assert [job.args["sku"] for job in without_dropped(prepared)] == [1, 3]
    assert aligned(prepared, [Inserted(8), Inserted(9)]) == [Inserted(8), None, Inserted(9)]
