"""An OpenAPI 3.1 document as a page shows it: operations grouped by tag, and every type with its fields.

Pure: the document goes in as plain dicts, and what a template walks through comes out. What it lacks is left out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = Mapping[str, Any]
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


class Part(NamedTuple):
    """A piece of a type's description; `link` names a type of the document, or is empty."""

    text: str
    link: str = ""


class Field(NamedTuple):
    """A parameter, or a key of an object. `place` is where a parameter stands: path, query, header."""

    name: str
    shape: tuple[Part, ...]
    required: bool
    note: str
    place: str = ""


class Body(NamedTuple):
    """What is sent or answered; `status` is empty for a request, `default` for every error."""

    status: str
    media: str
    shape: tuple[Part, ...]
    note: str


class Operation(NamedTuple):
    """One method on one path."""

    method: str
    path: str
    anchor: str
    summary: str
    description: str
    parameters: list[Field]
    bodies: list[Body]
    answers: list[Body]


class Group(NamedTuple):
    """The operations under one tag."""

    name: str
    operations: list[Operation]


class Type(NamedTuple):
    """A named type; `shape` says what it is when it has no fields."""

    name: str
    description: str
    shape: tuple[Part, ...]
    fields: list[Field]


class Reference(NamedTuple):
    """All that docs.html needs."""

    title: str
    version: str
    description: str
    groups: list[Group]
    types: list[Type]
    codes: dict[str, str]


def reference(document: Json) -> Reference:
    """The whole document, groups in the order in which their tags first appear."""
    info = document.get("info", {})
    types = document.get("components", {}).get("schemas", {})
    return Reference(
        title=info.get("title", "API"),
        version=info.get("version", ""),
        description=info.get("description", ""),
        groups=_groups(document.get("paths", {})),
        types=[_type(name, schema) for name, schema in sorted(types.items())],
        codes=dict(document.get("x-error-codes", {})),
    )


def _groups(paths: Json) -> list[Group]:
    groups: dict[str, Group] = {}
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", ())), "other")
                groups.setdefault(tag, Group(tag, [])).operations.append(_operation(method, path, item))
    return list(groups.values())


def _operation(method: str, path: str, item: Json) -> Operation:
    operation = item[method]
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    return Operation(
        method=method.upper(),
        path=path,
        anchor=operation.get("operationId", f"{method}{path}"),
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=[_parameter(parameter) for parameter in parameters],
        bodies=list(_bodies("", operation.get("requestBody", {}))),
        answers=[body for status, answer in operation.get("responses", {}).items() for body in _bodies(status, answer)],
    )


def _parameter(parameter: Json) -> Field:
    schema = parameter.get("schema", {})
    note = ". ".join(filter(None, (parameter.get("description", ""), _note(schema))))
    return Field(parameter["name"], shape(schema), parameter.get("required", False), note, parameter.get("in", ""))


def _bodies(status: str, answer: Json) -> Iterator[Body]:
    content = answer.get("content", {})
    note = answer.get("description", "")
    if not content and answer:
        yield Body(status, "", (), note)
    for media, inner in content.items():
        yield Body(status, media, shape(inner["schema"]) if "schema" in inner else (), note)


def _type(name: str, schema: Json) -> Type:
    required = schema.get("required", ())
    fields = [
        Field(key, shape(inner), key in required, _note(inner)) for key, inner in schema.get("properties", {}).items()
    ]
    return Type(name, schema.get("description", ""), () if fields else shape(schema), fields)


def shape(schema: Json) -> tuple[Part, ...]:
    """A schema in a few words: `array of FileInfo`, `text or null`, `one of a, b`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (Part(name, name),)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _joined([shape(choice) for choice in choices])
    if "enum" in schema:
        return (Part("one of " + ", ".join(map(str, schema["enum"]))),)
    if "const" in schema:
        return (Part(str(schema["const"])),)
    return _plain_shape(schema)


def _plain_shape(schema: Json) -> tuple[Part, ...]:
    kind = schema.get("type", "anything")
    if kind == "array":
        return (Part("array of "), *shape(schema.get("items") or {}))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return (Part("object of "), *shape(schema["additionalProperties"]))
    if isinstance(kind, list):
        return (Part(" or ".join(kind)),)
    return (Part(f"{kind} ({schema['format']})" if "format" in schema else str(kind)),)


def _joined(shapes: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    parts = list(shapes[0])
    for parts_of_next in shapes[1:]:
        parts += (Part(" or "), *parts_of_next)
    return tuple(parts)


def _note(schema: Json) -> str:
    inner = _innermost(schema)
    notes = [schema.get("description") or inner.get("description") or ""]
    notes += [words.format(_number(inner[key])) for key, words in _LIMITS.items() if key in inner]
    if schema.get("default") not in (None, "", [], {}):
        notes.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    return ", ".join(filter(None, notes))


def _number(limit: Any) -> str:
    return "2^53" if limit == 2**53 else str(limit)


def _innermost(schema: Json) -> Json:
    """The limits of `X or null` are X's."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    return choices[0] if len(choices) == 1 else schema
