"""The JSON Schema of a config, for editors: the keys at its top, and every stage type with its options."""

from collections.abc import Callable
from typing import cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema
from typing_extensions import override

from headrace.config.keys.jobs import JobsKeys
from headrace.config.keys.pipeline import PipelineKeys, StageKeys, SubscriptionKeys
from headrace.config.keys.stage import DEFAULT_DISPATCHER, HANDLING_KEYS, DispatcherKeys
from headrace.config.stage_types import BrokenType, LoadedType, StageTypes
from headrace.pipeline.dispatchers.entry_points import dispatcher_names

ConfigSchema = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VARIABLE: ConfigSchema = {"type": "string", "pattern": r"\$\{"}
_SCALARS = frozenset({"integer", "number", "boolean"})


class _Generator(GenerateJsonSchema):
    """Writes defaults as a config does: a duration is `250ms`, and no number."""

    ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012 - pydantic's own attribute

    @override
    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        writer = schema["schema"].get("serialization")
        if writer is not None and writer["type"] == "function-plain" and schema.get("default") is not None:
            written = cast("Callable[[object], object]", writer["function"])(schema["default"])
            schema = {**schema, "default": written}
        return super().default_schema(schema)


def schema(catalogue: StageTypes | None = None) -> ConfigSchema:
    """Return the schema, without types that cannot be loaded. Any number or boolean may also be a `${...}`."""
    types = catalogue or StageTypes.installed()
    definitions: ConfigSchema = {}
    top = _of(PipelineKeys, definitions)
    properties = cast("ConfigSchema", top["properties"])
    properties["listen"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/ListenKeys"}]}
    properties["python_path"] = _one_or_many({"type": "string"})
    _of(JobsKeys, definitions)
    properties["jobs"] = {"$ref": "#/$defs/JobsKeys"}
    stages = [*(_stage(found, definitions) for found in _loaded(types)), _custom_stage(definitions)]
    properties["stages"] = {"type": "object", "minProperties": 1, "additionalProperties": {"oneOf": stages}}
    top["patternProperties"] = {"^x-": {}}
    either: ConfigSchema = {"anyOf": [{"required": ["stages"]}, {"required": ["jobs"]}]}
    return {"$schema": DIALECT, **top, **either, "title": "headrace", "$defs": definitions}


def _loaded(catalogue: StageTypes) -> list[LoadedType]:
    found = []
    for name in catalogue.names:
        try:
            found.append(catalogue.find(name))
        except BrokenType:
            continue
    return found


def _custom_stage(definitions: ConfigSchema) -> ConfigSchema:
    """Return the schema of a stage whose class the config names, and whose options are unknown."""
    keys = _common_keys(definitions)
    keys["type"] = {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"}
    return {"title": "module:Class", "type": "object", "properties": keys, "required": ["type"]}


def _stage(stage_type: LoadedType, definitions: ConfigSchema) -> ConfigSchema:
    """Return the schema of a stage of one type: the common keys that its kind has, and its options."""
    keys = _common_keys(definitions)
    keys["type"] = {"const": stage_type.name}
    dropped = {"producer": {"subscribe_to", *HANDLING_KEYS}, "consumer": {"dispatcher", "buffer"}}
    left_out = dropped.get(stage_type.kind or "", set())
    required = ["type"] if stage_type.kind == "producer" else ["type", "subscribe_to"]
    own = _of(stage_type.options, definitions, f"{stage_type.name}.")
    return {
        "title": stage_type.name,
        "type": "object",
        "properties": {
            **{key: value for key, value in keys.items() if key not in left_out},
            **cast("ConfigSchema", own.get("properties", {})),
        },
        "required": [*required, *cast("list[str]", own.get("required", []))],
        "additionalProperties": own.get("additionalProperties", True),
    }


def _common_keys(definitions: ConfigSchema) -> ConfigSchema:
    """Return the schemas of the keys that all stages have."""
    common = _of(StageKeys, definitions)
    _of(SubscriptionKeys, definitions)
    keys = cast("ConfigSchema", common["properties"])
    subscription: ConfigSchema = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/SubscriptionKeys"}]}
    keys["subscribe_to"] = _one_or_many(subscription)
    _of(DispatcherKeys, definitions)
    names: ConfigSchema = {"type": "string", "enum": list(dispatcher_names())}
    keys["dispatcher"] = {"anyOf": [names, {"$ref": "#/$defs/DispatcherKeys"}], "default": DEFAULT_DISPATCHER}
    keys["retry"] = {"anyOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/RetryKeys"}]}
    return keys


def _one_or_many(one: ConfigSchema) -> ConfigSchema:
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _of(model: type[BaseModel], definitions: ConfigSchema, prefix: str = "") -> ConfigSchema:
    """Return a model's schema; its definitions join the others under a prefix."""
    made = cast(
        "ConfigSchema",
        _relaxed(model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}", schema_generator=_Generator)),
    )
    for name, definition in cast("ConfigSchema", made.pop("$defs", {})).items():
        definitions[f"{prefix}{name}"] = definition
    if not prefix:
        definitions[model.__name__] = dict(made)
    return made


def _relaxed(made: object) -> object:
    """Return a schema in which a variable may stand for any number or boolean."""
    if isinstance(made, list):
        return [_relaxed(item) for item in made]
    if not isinstance(made, dict):
        return made
    relaxed = {key: _relaxed(value) for key, value in made.items()}
    if isinstance(relaxed.get("type"), str) and relaxed["type"] in _SCALARS:
        title = {"title": relaxed.pop("title")} if "title" in relaxed else {}
        default = {"default": relaxed.pop("default")} if "default" in relaxed else {}
        return {**title, **default, "anyOf": [relaxed, _VARIABLE]}
    return relaxed
