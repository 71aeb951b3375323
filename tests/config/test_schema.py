"""The JSON Schema of a config."""

import json

from headrace.config.keys.stage import HANDLING_KEYS
from headrace.config.schema import schema
from tests.fakes.config_stages import catalogue


def made() -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """The schema as an editor would get it."""
    found = json.loads(json.dumps(schema(catalogue())))
    assert isinstance(found, dict)
    return found


def stage(name: str) -> dict[str, object]:
    choices = made()["properties"]["stages"]["additionalProperties"]["oneOf"]
    assert isinstance(choices, list)
    return next(choice for choice in choices if choice["title"] == name)


def test_the_top_has_its_keys_and_no_others() -> None:
    found = made()
    assert list(found["properties"]) == [
        "name",
        "listen",
        "python_path",
        "jobs",
        "stall_after",
        "dead_letters",
        "regex",
        "stages",
    ]
    assert json.dumps([found["additionalProperties"], found["anyOf"]]) == (
        '[false, [{"required": ["stages"]}, {"required": ["jobs"]}]]'
    )


def test_every_type_that_can_be_loaded_has_its_own_keys_and_the_common_ones_of_its_kind() -> None:
    producer, consumer = stage("tick")["properties"], stage("tally")["properties"]
    assert isinstance(producer, dict)
    assert isinstance(consumer, dict)
    assert {"type", "dispatcher", "buffer", "count", "every"} <= set(producer)
    assert not {"subscribe_to", *HANDLING_KEYS} & set(producer)
    assert set(consumer) == {"type", "subscribe_to", "metrics", *HANDLING_KEYS}
    assert stage("tick")["required"] == ["type"]
    assert stage("change")["required"] == ["type", "subscribe_to"]


def test_a_number_may_also_be_a_variable() -> None:
    properties = stage("tick")["properties"]
    assert isinstance(properties, dict)
    assert properties["count"] == {
        "title": "Count",
        "default": 3,
        "anyOf": [{"minimum": 0, "type": "integer"}, {"type": "string", "pattern": r"\$\{"}],
    }


def test_a_default_is_written_as_in_a_config() -> None:
    properties = stage("tick")["properties"]
    assert isinstance(properties, dict)
    assert properties["every"] == {"title": "Every", "default": "250ms", "type": "string"}


def test_short_spellings_of_jobs_are_in_it() -> None:
    jobs = schema(catalogue())["$defs"]
    text = json.dumps(jobs)
    assert isinstance(jobs, dict)
    found = jobs["JobsKeys"]["properties"]
    kinds = {name: [each.get("type", "one") for each in found[name]["anyOf"]] for name in ("modules",)}
    assert kinds == {"modules": ["string", "array"]}
    assert "integer" in json.dumps(found["queues"]["additionalProperties"])
    assert {"QueueKeys", "CronKeys", "KeptKeys", "RateLimitKeys", "GlobalLimitKeys", "RegistryKeys"} <= set(jobs)
    assert '"$ref": "#/$defs/QueueKeys"' in text


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(made())
    names = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert {"ListenKeys", "SubscriptionKeys", "BufferKeys", "tally.CounterEntry"} <= names
    assert names <= set(made()["$defs"])
