"""The keys of the block `jobs:`: the store, the queues that run here, and their limits."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from headrace.jobs.errors import BadCron, BadLimit, BadStore
from headrace.jobs.maintenance.crontab import CatchUp
from headrace.jobs.rules.cron import ANY_ZONE, Cron
from headrace.jobs.rules.limits import check_partition
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.stores.store import store_of
from headrace.stages.jobs import RecordingWorkerField, WorkerField
from headrace.stages.options import CountField, DurationField, Options, RateField, refused

GRACE_SECONDS: Final = 15.0
"""The default time that running jobs get at the end of a run."""

LIMIT: Final = 10
"""The default number of jobs of a queue that run at a time."""

_QueueName = Annotated[str, Field(min_length=1, max_length=127)]


def _store(url: str) -> str:
    """Refuse the URL of an unknown store; nothing is opened."""
    try:
        store_of(url)
    except BadStore as error:
        failure = refused("bad_value", error.why, is_predicate=True)
    else:
        return url
    raise failure


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _short_form(key: str, long_form: Any, *kinds: type) -> BeforeValidator:
    """Return a validator that turns a value of `kinds` into the long form: a mapping, here with one key."""

    def lengthened(value: object) -> object:
        return {key: value} if isinstance(value, kinds) else value

    return BeforeValidator(lengthened, json_schema_input_type=kinds[0] | long_form)


def _partition(value: str) -> str:
    try:
        check_partition(value)
    except BadLimit as error:
        failure = refused("bad_value", str(error))
    else:
        return value
    raise failure


_Partition = Annotated[str, AfterValidator(_partition)]


class RateLimitKeys(Options):
    """How many jobs may start in a period, over all OS processes; with a `partition`, for each of its values."""

    rate: RateField
    burst: Annotated[CountField, Field(ge=1)] | None = None
    partition: _Partition | None = None


class GlobalLimitKeys(Options):
    """How many jobs may run at a time, over all OS processes; with a `partition`, for each of its values."""

    count: Annotated[CountField, Field(ge=1)]
    partition: _Partition | None = None


class QueueKeys(Options):
    """How many jobs of a queue run here at a time, and the limits over all OS processes."""

    limit: Annotated[CountField, Field(ge=1)] = LIMIT
    rate_limit: Annotated[
        RateLimitKeys | None,
        _short_form("rate", RateLimitKeys | None, str),
    ] = None
    global_limit: Annotated[
        GlobalLimitKeys | None,
        _short_form("count", GlobalLimitKeys | None, int, str),
    ] = None

    @model_validator(mode="after")
    def _one_partition(self) -> "QueueKeys":
        rate, at_once = self.rate_limit, self.global_limit
        if rate is None or at_once is None or None in {rate.partition, at_once.partition}:
            return self
        if rate.partition != at_once.partition:
            why = "both limits may be partitioned by one thing only: name the same one, or leave one out"
            raise refused("bad_value", why, path=["global_limit", "partition"])
        return self


_Queue = Annotated[QueueKeys, _short_form("limit", QueueKeys, int, str)]


class CronKeys(Options):
    """A line of the crontab; `args` are values and no expressions, since there is no event to read."""

    schedule: str
    worker: WorkerField
    args: dict[str, object] = Field(default={})
    queue: _QueueName | None = None
    timezone: str = ANY_ZONE
    name: Annotated[str, Field(min_length=1)] | None = None
    catch_up: CatchUp = "none"
    catch_up_limit: Annotated[CountField, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _comes(self) -> "CronKeys":
        try:
            Cron(self.schedule, self.timezone)
        except BadCron as error:
            where = "timezone" if "time zone" in error.why else "schedule"
            failure = refused("bad_value", error.why, is_predicate=True, path=[where])
        else:
            return self
        raise failure

    @property
    def known_as(self) -> str:
        """The name under which the store records its last run: its own name, or worker and schedule."""
        return self.name or f"{self.worker} {self.schedule}"


class RegistryKeys(Options):
    """A registry of results under its own name, for HTTP and commands; without `expires_in` results stay for good."""

    worker: RecordingWorkerField
    expires_in: DurationField | None = None


class KeptKeys(Options):
    """How long ended jobs stay, and how many at most; a key that is left out is no limit."""

    age: DurationField | None = None
    count: Annotated[CountField, Field(ge=0)] | None = None


_Kept = Annotated[KeptKeys | None, _short_form("age", KeptKeys | None, str)]


class KeepKeys(Options):
    """How long ended jobs stay, by their state; a state that is left out has the default."""

    completed: _Kept = None
    cancelled: _Kept = None
    discarded: _Kept = None


class JobsKeys(Options):
    """The jobs of a run: their store, the queues that run here, and the modules of their workers."""

    store: Annotated[str, AfterValidator(_store)]
    queues: dict[_QueueName, _Queue] = Field(default={})
    modules: Annotated[tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=str | list[str])] = ()
    cron: tuple[CronKeys, ...] = ()
    registries: dict[str, RegistryKeys] = Field(default={})
    grace: DurationField = GRACE_SECONDS
    log_failures: bool = True
    keep: KeepKeys = KeepKeys()
    encryption_key: Annotated[
        tuple[SecretStr, ...], BeforeValidator(_one_or_many, json_schema_input_type=str | list[str])
    ] = ()

    def cipher(self) -> ArgsCipher | None:
        """Return the cipher of args: it encrypts with the first key and decrypts with all; None without a key.

        Raises `EncryptionError`.
        """
        keys = [key.get_secret_value() for key in self.encryption_key]
        return ArgsCipher(keys) if keys else None

    @field_validator("cron")
    @classmethod
    def _names_once(cls, cron: tuple[CronKeys, ...]) -> tuple[CronKeys, ...]:
        seen: set[str] = set()
        for index, entry in enumerate(cron):
            if entry.known_as in seen:
                why = "there is an entry of this name already: give one of them a `name:` of its own"
                raise refused("bad_value", why, path=[index, "name" if entry.name else "worker"])
            seen.add(entry.known_as)
        return cron
