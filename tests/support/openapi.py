"""What makes an OpenAPI 3.1 document well formed, as far as programs that read it stumble over it."""

import re
from collections.abc import Iterator
from typing import Any

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
TYPES = {"null", "boolean", "object", "array", "number", "string", "integer"}
COMPONENT = re.compile(r"[A-Za-z0-9._-]+")
STATUS = re.compile(r"[1-5][0-9][0-9]|[1-5]XX|default")


def check_document(document: dict[str, Any]) -> None:
    """Raises AssertionError for what is wrong with it."""
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"] and document["info"]["version"]
    assert all(key in KNOWN_KEYS or key.startswith("x-") for key in document)
    for name in document.get("components", {}).get("schemas", {}):
        assert COMPONENT.fullmatch(name), name
    for reference in _references(document):
        _resolved(document, reference)
    for schema in document.get("components", {}).get("schemas", {}).values():
        check_schema(schema)
    _check_paths(document)


KNOWN_KEYS = {"openapi", "info", "servers", "paths", "webhooks", "components", "security", "tags", "externalDocs"}


def _check_paths(document: dict[str, Any]) -> None:
    named: set[str] = set()
    shapes: set[str] = set()
    for path, item in document["paths"].items():
        assert path.startswith("/"), path
        shape = re.sub(r"{[^}]*}", "{}", path)
        assert shape not in shapes, f"{path} is one with another path"
        shapes.add(shape)
        assert set(item) <= METHODS, path
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["operationId"] not in named, f"{where}: operationId is not unique"
            named.add(operation["operationId"])
            _check_operation(document, where, path, operation)


def _check_operation(document: dict[str, Any], where: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"], where
    parameters = operation.get("parameters", [])
    places = [(parameter["in"], parameter["name"]) for parameter in parameters]
    assert len(places) == len(set(places)), f"{where}: a parameter twice"
    in_path = {name for place, name in places if place == "path"}
    assert in_path == set(re.findall(r"{([^}]*)}", path)), f"{where}: path parameters"
    for parameter in parameters:
        assert parameter["in"] in ("path", "query", "header", "cookie"), where
        assert parameter["required"] is True or parameter["in"] != "path", where
        check_schema(parameter["schema"])
    for media in operation.get("requestBody", {"content": {}})["content"].values():
        check_schema(media["schema"])
    assert operation["responses"], where
    for status, response in operation["responses"].items():
        assert STATUS.fullmatch(status), where
        assert response["description"], where
        for kind, media in response.get("content", {}).items():
            assert "/" in kind, where
            check_schema(media.get("schema", {}))
    schemes = document.get("components", {}).get("securitySchemes", {})
    assert all(name in schemes for need in operation.get("security", []) for name in need), where


def check_schema(schema: Any) -> None:
    """A JSON Schema of 2020-12, in the keywords that matter here."""
    assert isinstance(schema, dict | bool), schema
    if isinstance(schema, bool):
        return
    kinds = schema.get("type", [])
    assert set([kinds] if isinstance(kinds, str) else kinds) <= TYPES, schema
    assert "nullable" not in schema, "nullable was given up in OpenAPI 3.1"
    properties = schema.get("properties", {})
    assert set(schema.get("required", [])) <= set(properties), schema
    if "pattern" in schema:
        re.compile(schema["pattern"])
    for inner in [*properties.values(), *schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]:
        check_schema(inner)
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            check_schema(schema[keyword])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _resolved(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/"), reference
    found: Any = document
    for step in reference[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        assert step in found, f"{reference} leads nowhere"
        found = found[step]
    return found
