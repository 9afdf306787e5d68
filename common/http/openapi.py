"""The OpenAPI 3.1 document, made from the same Endpoint declarations and types that route and validate.

`https://spec.openapis.org/oas/v3.1.0`; schemas are JSON Schema 2020-12 as msgspec writes it.
"""

import re
import types
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from common import errors
from common.http.body import OneOf
from common.http.endpoint import Access, Endpoint
from common.http.problem import PROBLEM_TYPE, Problem

REF = "#/components/schemas/{name}"
PARAMETER = re.compile(r"{(\w+)(:[^{}]*(?:{[^{}]*}[^{}]*)*)?}")
ALWAYS = ("bad_request", "host_not_allowed", "internal_error")


def document(title: str, version: str, description: str, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document as JSON-ready dicts."""
    listed = [endpoint for endpoint in endpoints if endpoint.documented]
    kinds = _kinds(listed)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schema_of = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in listed:
        paths.setdefault(_plain(endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, schema_of, components
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": description,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "x-error-codes": dict(sorted(errors.CODES.items())),
    }


def _kinds(endpoints: Iterable[Endpoint]) -> list[Any]:
    found: dict[str, Any] = {repr(Problem): Problem}
    for endpoint in endpoints:
        for kind in (*alternatives(endpoint.body), *alternatives(endpoint.answer)):
            found[repr(kind)] = kind
    return list(found.values())


def alternatives(declared: Any) -> tuple[Any, ...]:
    """The types that a declared body or answer may have; none when nothing is declared."""
    if isinstance(declared, OneOf):
        return declared.kinds
    if isinstance(declared, types.UnionType):
        return declared.__args__
    return () if declared is None else (declared,)


def _schema(declared: Any, schema_of: dict[str, Any]) -> dict[str, Any]:
    choices = [schema_of[repr(kind)] for kind in alternatives(declared)]
    return {"schema": choices[0] if len(choices) == 1 else {"anyOf": choices}}


def _plain(path: str) -> str:
    return PARAMETER.sub(r"{\1}", path)


def _operation(endpoint: Endpoint, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": "_".join([endpoint.method.lower(), *re.findall("[a-z0-9]+", _plain(endpoint.path).lower())]),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query, components)],
        "responses": _responses(endpoint, schema_of),
    }
    if endpoint.body is not None:
        content = {"application/json": _schema(endpoint.body, schema_of)}
        operation["requestBody"] = {"required": endpoint.body_required, "content": content}
    if endpoint.access is not Access.PUBLIC:
        operation["security"] = [{"token": []}] if endpoint.access is Access.OWNER else [{"token": []}, {}]
        operation["description"] = f"For {endpoint.access.value}."
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [match[1] for match in PARAMETER.finditer(path)]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(kind: type | None, components: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters; what their schemas refer to goes into `components`."""
    if kind is None:
        return []
    (_,), found = msgspec.json.schema_components([kind], ref_template=REF)
    properties = found.pop(kind.__name__).get("properties", {})
    components.update(found)
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


def _responses(endpoint: Endpoint, schema_of: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.answer is not None:
        good["content"] = {endpoint.media: _schema(endpoint.answer, schema_of)}
    elif endpoint.status < 300 and endpoint.status != 204:
        good["content"] = {endpoint.media: {}}
    codes = ", ".join(f"`{code}`" for code in (*endpoint.codes, *ALWAYS))
    problem = {
        "description": f"A problem document; `code` is one of {codes}.",
        "content": {PROBLEM_TYPE: {"schema": schema_of[repr(Problem)]}},
    }
    return {str(endpoint.status): good, "default": problem}
