"""Groups of jobs: which workflow, batch and chain a job is of, by what its meta says (the keys are Oban Pro's)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

GroupKey = Literal["workflow_id", "batch_id", "chain_id"]
"""The keys of a job's meta that say which groups it is of; stores find the members of one fast."""

GROUP_KEYS: Final[tuple[GroupKey, ...]] = get_args(GroupKey)


@dataclass(frozen=True, slots=True)
class Group:
    """A workflow, a batch or a chain: the key of the meta, and the text that stands there in all its members."""

    key: GroupKey
    id: str

    @property
    def meta(self) -> Mapping[str, str]:
        """What a filter says to find its members."""
        return {self.key: self.id}


def groups_of(meta: Mapping[str, object]) -> list[Group]:
    """Return the groups that a job with this meta is of."""
    return [Group(key, cast("str", meta[key])) for key in GROUP_KEYS if isinstance(meta.get(key), str)]
