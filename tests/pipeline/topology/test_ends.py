"""Which stages are unread is known at each end, as a look at the whole graph would tell."""

from types import SimpleNamespace
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.topology.link import Edges, Ends

STAGES = tuple("abcdefg")


def unconsumed(consumers: dict[str, set[str]], ended: set[str]) -> set[str]:
    """Return the stages that live, and whose every consumer has ended or is unread: a look at all, over and over."""
    gone = set(ended)
    while more := {name for name, of in consumers.items() if of and name not in gone and of <= gone}:
        gone |= more
    return gone - ended


class EndsMachine(RuleBasedStateMachine):
    """Stages end and subscribe in any order; events flow from earlier letters to later ones."""

    def __init__(self) -> None:
        super().__init__()
        self.consumers: dict[str, set[str]] = {name: set() for name in STAGES}
        self.ended: set[str] = set()
        self.edges = Edges()

    def _edge(self, pair: tuple[str, str]) -> bool:
        producer, consumer = sorted(pair)
        self.consumers[producer].add(consumer)
        ends = {"producer": SimpleNamespace(name=producer), "consumer": SimpleNamespace(name=consumer)}
        return self.edges.add(
            cast("Subscription", SimpleNamespace(**ends, to=SubscribeTo(producer), is_closed=False, ended=None))
        )

    @initialize(pairs=st.sets(st.tuples(st.sampled_from(STAGES), st.sampled_from(STAGES)), max_size=8))
    def begin(self, pairs: set[tuple[str, str]]) -> None:
        for pair in sorted(pairs):
            if pair[0] != pair[1]:
                self._edge(pair)
        self.ends = Ends(STAGES, STAGES[:2], self.edges)

    @rule(name=st.sampled_from(STAGES))
    def end(self, name: str) -> None:
        self.ended.add(name)
        self.ends.ended(name)

    @precondition(lambda self: len(self.ended) < len(STAGES) - 1)
    @rule(data=st.data())
    def subscribe(self, data: st.DataObject) -> None:
        living = [one for one in STAGES if one not in self.ended]
        pair = data.draw(st.tuples(st.sampled_from(living), st.sampled_from(living)))
        if pair[0] != pair[1] and self._edge(pair):
            self.ends.joined(*sorted(pair))

    @invariant()
    def it_knows_what_a_look_at_all_would_tell(self) -> None:
        if hasattr(self, "ends"):
            assert set(self.ends.unconsumed) == unconsumed(self.consumers, self.ended)
            assert self.ends.is_all is (len(self.ended) == len(STAGES))
            assert self.ends.is_all_sources is self.ended.issuperset(STAGES[:2])


TestEnds = EndsMachine.TestCase
