"""What every new job goes through before its store sees it: the middleware, then the encryption of its args."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.jobs.errors import EncryptionError
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.running.catalogue import Catalogue
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.middleware import EnqueueMiddleware, passed


@dataclass(frozen=True, slots=True)
class Admission:
    """Of one service: its workers, its middleware in order, and its key, if it has one."""

    catalogue: Catalogue
    middleware: Sequence[EnqueueMiddleware] = ()
    cipher: ArgsCipher | None = None

    def admitted(self, jobs: Sequence[NewJob]) -> list[NewJob | None]:
        """Return each new job as it is to be inserted, in order; None is what a middleware dropped.

        Raises what a middleware raises, and `EncryptionError` for a worker with encrypted args where there is no key.
        """
        encrypted = self.catalogue.encrypted
        if not self.middleware and (not encrypted or encrypted.isdisjoint([job.worker for job in jobs])):
            return list(jobs)
        return [self._admitted(job) for job in jobs]

    def open(self, job: Job) -> None:
        """Put the args of a claimed job in clear, in place. Raises `EncryptionError` when no key fits."""
        if job.args and self.cipher is not None:
            job.args = self.cipher.opened(job.args)

    def _admitted(self, job: NewJob) -> NewJob | None:
        admitted = passed(job, self.middleware) if self.middleware else job
        if admitted is None:
            return None
        if admitted.worker not in self.catalogue.encrypted:
            return admitted
        if self.cipher is None:
            missing = f"worker {admitted.worker!r} keeps its args encrypted, and there is no key"
            raise EncryptionError(missing, "give one, or take encrypted=True away")
        return self.cipher.sealed(admitted)


def kept(admitted: Sequence[NewJob | None]) -> list[NewJob]:
    """Return what is to be inserted of what was admitted."""
    return [job for job in admitted if job is not None]


def told(admitted: Sequence[NewJob | None], inserted: Sequence[Inserted]) -> list[Inserted | None]:
    """Return what became of each admitted job, in order, given what became of those that were inserted."""
    if len(inserted) == len(admitted):
        return list(inserted)
    each = iter(inserted)
    return [None if job is None else next(each) for job in admitted]
