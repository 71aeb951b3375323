"""Pydantic's errors become findings: the sorts that no table of configs shows."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from headrace.config.check.validation import Subject, validate
from headrace.config.text.findings import ConfigSource, Finding, Report
from headrace.config.text.tree import LocatedNode
from headrace.config.text.variables import VariableContext, interpolate
from tests.config.trees import good_tree


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Circle(Strict):
    shape: Literal["circle"]
    radius: float


class Square(Strict):
    shape: Literal["square"]
    side: float
    colour: str = "red"


def sort_of(value: object) -> str:
    return "round" if isinstance(value, dict) and "radius" in value else "square"


class Options(Strict):
    shape: Annotated[Circle | Square, Field(discriminator="shape")] | None = None
    either: Circle | Square | None = None
    called: (
        Annotated[Annotated[Circle, Tag("round")] | Annotated[Square, Tag("square")], Discriminator(sort_of)] | None
    ) = None
    odd: int = 1
    short: str = Field(default="x", max_length=3)
    pattern: str = Field(default="a", pattern="^a+$")
    many: dict[str, list[int]] = {}

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: int, info: ValidationInfo) -> int:
        if value % 2 == 0:
            message = f"{value} is even, and short is {info.data.get('short')}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _both(self) -> "Options":
        if self.shape and self.either:
            message = f"{self.short} has two shapes"
            raise ValueError(message)
        return self


def findings(text: str, environ: dict[str, str] | None = None) -> list[Finding]:
    report = Report(ConfigSource("shop.yaml", text))
    node = interpolate(good_tree(text), VariableContext(environ or {}, Path()), report)
    assert validate(Options, Subject(LocatedNode(node), "a test"), report, imports=True) is None
    return report.findings


@pytest.mark.parametrize(
    ("text", "code", "column", "message"),
    [
        (
            "shape: {shape: circl, radius: 1}",
            "bad-value",
            16,
            "`shape.shape` must be one of 'circle', 'square', and is circl",
        ),
        ("shape: {radius: 1}", "missing-key", 1, "`shape` needs `shape:`"),
        ("shape: {shape: circle}", "missing-key", 1, "`shape` needs `radius:`"),
        ("shape: {shape: circle, radius: x}", "bad-value", 32, "`shape.radius` must be a number, and is x"),
        ("shape: {shape: circle, radius: 1, side: 2}", "unknown-key", 35, "`shape` has no key `side`"),
        ("either: {shape: square, sides: 1, side: 2}", "unknown-key", 25, "`either` has no key `sides`"),
        ("called: {shape: circle, radius: x}", "bad-value", 33, "`called.radius` must be a number"),
        ("odd: 2", "bad-value", 6, "`odd`: 2 is even, and short is None"),
        ("short: abcd", "bad-value", 8, "`short` must be text of 3 characters or less, and is abcd"),
        ("pattern: b", "bad-value", 10, "`pattern` must be text that matches ^a+$, and is b"),
        ("many: {a: [1, x]}", "bad-value", 15, "`many.a[1]` must be a whole number, and is x"),
        ("many: [1]", "bad-value", 1, "`many` must be a mapping, and is a list"),
        ("short: 0x10", "bad-value", 8, "`short` must be text, and is 0x10"),
    ],
)
def test_an_error_is_a_sentence_at_its_place(text: str, code: str, column: int, message: str) -> None:
    found = findings(text)
    assert [(one.code, one.line, one.column) for one in found] == [(code, 1, column)]
    assert found[0].message.startswith(message)


def test_a_model_that_refuses_two_keys_together_is_told_of_the_whole() -> None:
    (found,) = findings("shape: {shape: circle, radius: 1}\neither: {shape: circle, radius: 1}")
    assert (found.code, found.line, found.column, found.message) == ("bad-value", 1, 1, "x has two shapes")


def test_the_keys_of_the_branch_that_is_meant_are_the_allowed_ones() -> None:
    (found,) = findings("shape: {shape: circle, radius: 1, radios: 2}")
    assert found.suggestion == "radius"
    (found,) = findings("either: {shape: square, side: 1, color: red}")
    assert found.suggestion == "colour"


def test_quotes_are_suggested_where_text_is_asked_for() -> None:
    assert [
        one.suggestion for text in ("short: 12", "short: true", "short: [1]", "short: null") for one in findings(text)
    ] == [
        '"12"',
        '"true"',
        None,
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "odd: ${X}",
        "short: ${X}",
        "shape: {shape: '${X}'}",
        "pattern: a${X}",
        "{short: 'ab', odd: 2, many: {a: ['${X}']}}",
        "{short: '${S}', shape: {shape: circle, radius: 1}, either: {shape: circle, radius: 1}}",
    ],
)
def test_what_a_variable_gave_is_kept_from_messages(text: str) -> None:
    found = findings(text, {"X": "8242842", "S": "zyxw"})
    assert found
    assert all("824284" not in one.as_text() and "zyxw" not in one.as_text() for one in found)


def test_a_value_of_another_key_is_kept_from_messages_too() -> None:
    class Two(Strict):
        secret: str
        odd: int

        @field_validator("odd")
        @classmethod
        def _odd(cls, value: int, info: ValidationInfo) -> int:
            message = f"{value} does not fit {info.data['secret']}"
            raise ValueError(message)

    text = "secret: '${X}'\nodd: 3"
    report = Report(ConfigSource("shop.yaml", text))
    node = interpolate(good_tree(text), VariableContext({"X": "hunter2222"}, Path()), report)
    assert validate(Two, Subject(LocatedNode(node), "a test"), report, imports=True) is None
    assert "hunter" not in report.findings[0].as_text()
