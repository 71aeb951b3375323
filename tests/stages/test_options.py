"""The words that stage options are written in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.http.address import Address
from headrace.stages.functions import LazyFunction
from headrace.stages.options import (
    AddressField,
    CountField,
    DurationField,
    ExpressionField,
    FunctionField,
    LabelNameField,
    MetricName,
    MetricNameField,
    RateField,
    SizeField,
    TemplateField,
)
from headrace.units import Rate


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    where: ExpressionField | None = None
    template: TemplateField | None = None
    call: FunctionField | None = None
    period: DurationField | None = None
    rate: RateField | None = None
    size: SizeField | None = None
    listen: AddressField | None = None
    count: CountField = Field(default=1, ge=1)
    metric: MetricNameField | None = None
    labels: dict[LabelNameField, str] = {}


def refusal(value: Mapping[str, object], *, imports: bool = True) -> tuple[str, tuple[object, ...], dict[str, Any]]:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(value, context={"import": imports})
    (detail,) = caught.value.errors(include_url=False)
    return detail["type"], detail["loc"], detail.get("ctx", {})


def test_good_options_become_what_they_mean() -> None:
    options = Options.model_validate(
        {
            "where": "event.total > 10",
            "template": {"country": "event.country", "zone": "'eu'"},
            "call": "json:dumps",
            "period": "250ms",
            "rate": "100/s",
            "size": "10MiB",
            "listen": "127.0.0.1:9125",
            "metric": "shop_total",
        }
    )
    assert options.where is not None
    assert options.where({"total": 11}) is True
    assert options.template is not None
    assert options.template({"country": "fr"}) == {"country": "fr", "zone": "eu"}
    assert options.call is not None
    assert options.call([1]) == "[1]"
    assert (options.period, options.rate, options.size) == (0.25, Rate(100.0, 1.0), 10 * 1024 * 1024)
    assert options.listen == Address("127.0.0.1", 9125)
    assert isinstance(options.metric, MetricName)


@pytest.mark.parametrize("value", [1, 2.5, True])
def test_a_number_or_a_boolean_is_an_expression_that_stands_for_itself(value: float) -> None:
    where = Options.model_validate({"where": value}).where
    assert where is not None
    assert where({}) == value


def test_an_expression_error_says_the_column_and_what_to_write() -> None:
    code, loc, context = refusal({"where": "event.name.lower()"})
    assert (code, loc) == ("bad_expression", ("where",))
    assert context["column"] == 1
    assert "lower(event.name)" in context["hint"]


def test_a_template_error_says_the_way_into_the_template() -> None:
    code, loc, context = refusal({"template": {"a": ["event.b", "event.c +"]}})
    assert (code, loc) == ("bad_expression", ("template",))
    assert context["path"] == ["a", 1]
    assert context["column"] >= 9


@pytest.mark.parametrize(
    ("name", "why", "suggestion"),
    [
        ("json.dumps", "module:function", "json:dumps"),
        ("json:", "module:function", None),
        ("json dumps", "module:function", None),
        ("jsn:dumps", "there is no module 'jsn'", "json:dumps"),
        ("xml.etre:x", "there is no module 'xml.etre'", "xml.etree:x"),
        ("json:dmps", "there is no 'dmps' in module json", "json:dumps"),
        ("json:JSONDecoder.decod", "in module json.JSONDecoder", "json:JSONDecoder.decode"),
        ("json:__name__", "is neither a function nor a class, but of type str", None),
    ],
)
def test_a_function_that_cannot_be_imported_is_refused_in_a_sentence(
    name: str, why: str, suggestion: str | None
) -> None:
    code, loc, context = refusal({"call": name})
    assert (code, loc) == ("bad_import", ("call",))
    assert why in context["why"]
    assert context.get("suggestion") == suggestion


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x = 1\nraise KeyError('secret')\n", "raises KeyError in {file}, line 2"),
        ("def f(:\n", "{file}, line 1, is not Python"),
        ("import sys\nsys.exit(3)\n", "raises SystemExit in {file}, line 2"),
        ("\n\nimport nothing_of_that_name\n", "imports 'nothing_of_that_name' in {file}, line 3"),
        ("from json import nothing\n", "cannot be imported: cannot import name 'nothing'"),
        ("def __getattr__(name):\n    raise OSError('secret')\n", "raises OSError in {file}, line 2"),
    ],
)
def test_a_module_that_fails_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    module = tmp_path / f"module_{abs(hash(body))}.py"
    module.write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    _, _, context = refusal({"call": f"{module.stem}:f"})
    assert said.format(file=module) in context["why"]
    assert "secret" not in context["why"]


def test_without_imports_only_the_shape_of_a_function_is_checked() -> None:
    options = Options.model_validate({"call": "no.such.module:function"}, context={"import": False})
    assert isinstance(options.call, LazyFunction)
    assert refusal({"call": "nonsense"}, imports=False)[0] == "bad_import"


def test_a_lazy_function_is_imported_when_it_is_called() -> None:
    call = Options.model_validate({"call": "json:dumps"}, context={"import": False}).call
    assert call is not None
    assert call({"a": 1}, indent=None) == '{"a": 1}'


@pytest.mark.parametrize(
    ("key", "value"),
    [("period", 30), ("period", "30"), ("rate", "5"), ("size", "10XB"), ("rate", "0/s")],
)
def test_a_unit_that_is_missing_or_wrong_comes_with_a_hint(key: str, value: object) -> None:
    code, loc, context = refusal({key: value})
    assert (code, loc) == ("bad_value", (key,))
    assert context["hint"]


@pytest.mark.parametrize(
    "value", ["9125", "localhost", ":9125", "host:99999", "::1:80", "[x]:80", "ho st:1", 9125, "h:²"]
)
def test_an_address_needs_a_host_and_a_port(value: object) -> None:
    assert refusal({"listen": value})[0] == "bad_value"


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.3.4.5:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("shop.example:1", False),
    ],
)
def test_only_this_machine_reaches_a_loopback_address(text: str, *, is_loopback: bool) -> None:
    address = Options.model_validate({"listen": text}).listen
    assert address is not None
    assert address.is_loopback is is_loopback
    assert str(address) == text


@pytest.mark.parametrize("name", ["", "9x", "a-b", "é", "headrace_x", "a b", "x\n"])
def test_a_metric_name_is_what_prometheus_and_headrace_allow(name: str) -> None:
    assert refusal({"metric": name})[0] == "bad_metric"


@pytest.mark.parametrize("name", ["", "9x", "a-b", "a:b", "__a", "le", "quantile"])
def test_a_label_name_is_what_prometheus_allows(name: str) -> None:
    code, loc, _ = refusal({"labels": {name: "x"}})
    assert (code, loc) == ("bad_metric", ("labels", name, "[key]"))


def test_true_is_not_a_number() -> None:
    assert refusal({"count": True})[:2] == ("bad_value", ("count",))


def test_options_are_written_to_json_as_in_a_config() -> None:
    written = {"where": "event.a", "period": "250ms", "rate": "10/500ms", "size": "10MiB", "listen": "127.0.0.1:9125"}
    options = Options.model_validate(written)
    assert options.model_dump(mode="json", exclude_unset=True) == written


def test_options_have_a_json_schema() -> None:
    assert set(Options.model_json_schema()["properties"]) == set(Options.model_fields)
