"""The API's description, from OpenAPI to what a page shows."""

import json
from typing import Any

import pytest

from tests.web import samples
from tests.web.html import Page
from web.reference import Part, reference, shape

DOCUMENT: dict[str, Any] = {
    "info": {"title": "Shoal", "version": "0.1.0"},
    "paths": {
        "/files": {
            "parameters": [{"name": "X-Peer-ID", "in": "header", "schema": {"type": "string"}}],
            "post": {
                "operationId": "post_files",
                "summary": "Announces",
                "tags": ["files"],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Entry"}}}},
                "responses": {"200": {"description": "Taken"}, "default": {"description": "A problem: `x`"}},
            },
            "get": {
                "operationId": "get_files",
                "tags": ["files"],
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": 50}}
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}
                            }
                        }
                    }
                },
            },
        },
        "/ws": {"get": {"responses": {}}},
    },
    "components": {
        "schemas": {
            "Entry": {
                "description": "One path.",
                "properties": {
                    "path": {"type": "string", "maxLength": 4096},
                    "size": {"anyOf": [{"type": "integer", "maximum": 2**53}, {"type": "null"}], "default": None},
                    "online": {"type": "boolean", "default": True},
                },
                "required": ["path"],
            },
            "Kind": {"enum": ["a", "b"]},
        }
    },
    "x-error-codes": {"replay": "Used before"},
}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"type": "array", "items": {"$ref": "#/x/Peer"}}, "array of Peer"),
        ({"anyOf": [{"$ref": "#/x/A"}, {"type": "null"}]}, "A or null"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"enum": ["a", 1]}, "one of a, 1"),
        ({"const": "x"}, "x"),
        ({"type": "array"}, "array of anything"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_a_few_words(schema: dict[str, Any], text: str) -> None:
    assert "".join(part.text for part in shape(schema)) == text


def test_a_named_type_is_linked() -> None:
    assert shape({"$ref": "#/components/schemas/Peer"}) == (Part("Peer", "Peer"),)


def test_operations_are_grouped_by_tag() -> None:
    groups = {group.name: [(o.method, o.path) for o in group.operations] for group in reference(DOCUMENT).groups}
    assert groups == {"files": [("GET", "/files"), ("POST", "/files")], "other": [("GET", "/ws")]}


def test_an_operation_says_what_is_sent_and_answered() -> None:
    post = reference(DOCUMENT).groups[0].operations[1]
    assert [field.name for field in post.parameters] == ["X-Peer-ID"]
    assert post.bodies[0].shape == (Part("Entry", "Entry"),)
    assert [(answer.status, answer.note) for answer in post.answers] == [
        ("200", "Taken"),
        ("default", "A problem: `x`"),
    ]


def test_fields_say_their_limits() -> None:
    entry, kind = reference(DOCUMENT).types
    assert [(f.name, f.required, f.note) for f in entry.fields] == [
        ("path", True, "at most 4096 characters"),
        ("size", False, "at most 2^53"),
        ("online", False, "default true"),
    ]
    assert (kind.fields, kind.shape) == ([], (Part("one of a, b"),))


def test_an_empty_document_gives_an_empty_page() -> None:
    assert reference({}).groups == []


async def test_the_page_has_an_anchor_for_each_type_and_code(aiohttp_client: Any) -> None:
    client = await aiohttp_client(samples.super_peer_app(samples.SampleIndex(), json.loads(json.dumps(DOCUMENT))))
    page = Page(await (await client.get("/docs")).text())
    assert {"type-Entry", "type-Kind", "error-replay", "get_files", "post_files"} <= set(page.ids())
    assert "#type-Entry" in [a["href"] for a in page.all("a")]
    assert "x" in page.texts["code"]
