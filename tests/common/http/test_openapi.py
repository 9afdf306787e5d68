import json
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from aiohttp import web
from msgspec import Meta

from common import errors
from common.http import openapi
from common.http.body import OneOf
from common.http.endpoint import Access, Endpoint
from common.http.health import HealthPages
from common.http.metrics import MetricsPage, Requests
from common.http.operations import Document, operations
from common.http.paging import Cursor, Limit
from common.wire import events, files, peer_daemon, peers
from common.wire.files import CatalogueDelta, FileInfo, FileRegistration
from common.wire.peers import Peer, RegisterAnswer, RegisterRequest
from tests.support.daemon import running, tiny_daemon
from tests.support.openapi import check_document
from tests.support.wire import asked


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Wanted(msgspec.Struct):
    """Parameters of every kind that endpoints use."""

    q: Annotated[str, Meta(max_length=100)] = ""
    tag: list[str] = msgspec.field(default_factory=list)
    sort: Literal["name", "size"] = "name"
    colour: Colour | None = None
    limit: Limit = 50
    cursor: Cursor | None = None
    extension: str | None = msgspec.field(default=None, name="ext")


async def nothing(request: web.Request, given: Any = None) -> None:
    return None


def made(method: str, path: str, **options: Any) -> Endpoint:
    return Endpoint(method=method, path=path, handle=nothing, summary="A summary", tag="things", **options)


ENDPOINTS = [
    made("GET", "/", media="text/html"),
    made("GET", "/api/v1/files", query=Wanted, answer=list[FileInfo], codes=("invalid_limit", "invalid_cursor")),
    made("GET", "/api/v1/files/{id}", answer=FileInfo, codes=("file_not_found",)),
    made("GET", "/api/v1/files/{id:[0-9a-f]{64}}.meta4", media="application/metalink4+xml"),
    made("GET", "/api/v1/files/{id}/sources/{peer}", answer=list[FileInfo]),
    made(
        "POST",
        "/api/v1/files",
        body=OneOf((FileRegistration, CatalogueDelta), lambda _: FileRegistration),
        answer=FileInfo | Peer,
    ),
    made(
        "PUT", "/api/v1/peers/me", body=RegisterRequest, answer=RegisterAnswer, access=Access.PEER, body_required=False
    ),
    made("DELETE", "/api/v1/files/{id}", status=204, access=Access.OWNER),
    made("GET", "/api/v1/download/{id}", status=307),
    made("GET", "/hidden", documented=False),
]
DOCUMENT = openapi.document("Test", "1.0", "For a test.", ENDPOINTS)


def test_the_document_is_well_formed() -> None:
    check_document(DOCUMENT)
    json.dumps(DOCUMENT, allow_nan=False)


def test_every_message_of_the_wire_can_be_described() -> None:
    modules = (events, files, peer_daemon, peers)
    kinds = [kind for module in modules for kind in vars(module).values() if isinstance(kind, msgspec.StructMeta)]
    assert len(kinds) > 25
    check_document(
        openapi.document("Test", "1.0", "", [made("GET", f"/{n}", answer=kind) for n, kind in enumerate(kinds)])
    )


def test_every_documented_endpoint_is_there_and_no_other() -> None:
    listed = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert listed == {
        ("GET", "/"),
        ("GET", "/api/v1/files"),
        ("GET", "/api/v1/files/{id}"),
        ("GET", "/api/v1/files/{id}.meta4"),
        ("GET", "/api/v1/files/{id}/sources/{peer}"),
        ("POST", "/api/v1/files"),
        ("PUT", "/api/v1/peers/me"),
        ("DELETE", "/api/v1/files/{id}"),
        ("GET", "/api/v1/download/{id}"),
    }


def test_operation_ids_are_words() -> None:
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert "get_api_v1_files_id_sources_peer" in ids
    assert all(name.replace("_", "").isalnum() for name in ids)


def test_paths_declare_their_parameters() -> None:
    operation = DOCUMENT["paths"]["/api/v1/files/{id}/sources/{peer}"]["get"]
    assert [(one["name"], one["in"], one["required"]) for one in operation["parameters"]] == [
        ("id", "path", True),
        ("peer", "path", True),
    ]


def test_queries_declare_their_parameters_with_names_and_bounds_of_the_wire() -> None:
    parameters = {one["name"]: one for one in DOCUMENT["paths"]["/api/v1/files"]["get"]["parameters"]}
    assert list(parameters) == ["q", "tag", "sort", "colour", "limit", "cursor", "ext"]
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}
    assert parameters["sort"]["schema"] == {"enum": ["name", "size"], "default": "name"}
    assert parameters["tag"]["schema"]["type"] == "array"
    assert not any(one["required"] for one in parameters.values())


def test_bodies_and_answers_of_several_kinds_name_each() -> None:
    operation = DOCUMENT["paths"]["/api/v1/files"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {
        "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("FileRegistration", "CatalogueDelta")]
    }
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("FileInfo", "Peer")]}
    assert operation["requestBody"]["required"] is True
    assert DOCUMENT["paths"]["/api/v1/peers/me"]["put"]["requestBody"]["required"] is False


def test_answers_have_their_status_and_media_type() -> None:
    paths = DOCUMENT["paths"]
    assert "content" not in paths["/api/v1/files/{id}"]["delete"]["responses"]["204"]
    assert "content" not in paths["/api/v1/download/{id}"]["get"]["responses"]["307"]
    assert list(paths["/api/v1/files/{id}.meta4"]["get"]["responses"]["200"]["content"]) == [
        "application/metalink4+xml"
    ]


@pytest.mark.parametrize(("path", "method"), [("/api/v1/files", "get"), ("/", "get"), ("/api/v1/peers/me", "put")])
def test_every_operation_may_answer_a_problem(path: str, method: str) -> None:
    default = DOCUMENT["paths"][path][method]["responses"]["default"]
    assert default["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "`internal_error`" in default["description"]


def test_the_codes_to_expect_are_named() -> None:
    default = DOCUMENT["paths"]["/api/v1/files"]["get"]["responses"]["default"]["description"]
    assert "`invalid_limit`" in default and "`invalid_cursor`" in default
    assert DOCUMENT["x-error-codes"] == errors.CODES


def test_who_needs_a_token_is_told() -> None:
    assert "security" not in DOCUMENT["paths"]["/api/v1/files"]["get"]
    assert DOCUMENT["paths"]["/api/v1/files/{id}"]["delete"]["security"] == [{"token": []}]
    assert DOCUMENT["paths"]["/api/v1/peers/me"]["put"]["security"] == [{"token": []}, {}]


async def test_a_daemon_serves_the_description_of_its_endpoints() -> None:
    document = Document("Test", "1.0", "For a test.")
    metrics = MetricsPage("test", Requests(), list)
    listed = document.describe([*ENDPOINTS[1:], *operations(HealthPages("1", lambda: None), metrics)])
    async with running(tiny_daemon(*listed, guards={Access.OWNER: lambda _: None})) as daemon:
        answer = await asked(daemon.port, "/api/v1/openapi.json")
        assert answer.headers["Content-Type"] == "application/json"
        served = answer.json()
        again = await asked(daemon.port, "/api/v1/openapi.json")
    check_document(served)
    assert {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/files"} <= set(served["paths"])
    assert again.body == answer.body


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["components"]["schemas"].pop("Problem"),
        lambda document: document["paths"]["/api/v1/files/{id}"]["get"]["parameters"].clear(),
        lambda document: document["paths"]["/"]["get"].update(operationId="get_api_v1_files"),
        lambda document: document["components"]["schemas"]["Peer"]["required"].append("nonsense"),
        lambda document: document["components"]["schemas"]["Peer"]["properties"]["id"].update(type="text"),
    ],
)
def test_the_check_itself_notices(spoil: Any) -> None:
    spoiled = json.loads(json.dumps(DOCUMENT))
    spoil(spoiled)
    with pytest.raises(AssertionError):
        check_document(spoiled)
