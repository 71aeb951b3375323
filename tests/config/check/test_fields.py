"""The keys that a model knows."""

from pydantic import BaseModel, Field

from headrace.config.check.validation import keys_at, keys_of


class Leaf(BaseModel):
    x: int
    y: int = Field(alias="why")


class Other(BaseModel):
    z: int


class Root(BaseModel):
    one: Leaf
    many: list[Leaf | Other] | None
    named: dict[str, Other]


def test_keys_are_as_they_are_written() -> None:
    assert keys_of(Leaf) == ("x", "why")


def test_keys_below_are_those_of_every_model_that_may_stand_there() -> None:
    assert keys_at(Root, ()) == ("one", "many", "named")
    assert keys_at(Root, ("one",)) == ("x", "why")
    assert keys_at(Root, ("many", 0)) == ("x", "why", "z")
    assert keys_at(Root, ("many", 0, "Other")) == ("z",)
    assert keys_at(Root, ("named", "any")) == ("z",)
