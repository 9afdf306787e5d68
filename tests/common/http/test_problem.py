import inspect
import json

import msgspec
import pytest
from aiohttp import web

from common import errors
from common.http import problem
from common.http.problem import Problem, headers_of, of_http_exception, raw_response, response, status_of

FAMILIES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.Refusal) and kind is not errors.Refusal
]


def test_the_codes_are_sorted_words_with_titles() -> None:
    assert list(errors.CODES) == sorted(errors.CODES)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in errors.CODES)
    assert all(title and not title.endswith(".") for title in errors.CODES.values())


def test_a_refusal_has_a_code_of_the_table() -> None:
    with pytest.raises(KeyError):
        errors.Invalid("no_such_code", "")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_status_of_its_own(family: type[errors.Refusal]) -> None:
    status = status_of(family("not_found", ""))
    assert 400 <= status <= 599
    assert [other for other in FAMILIES if status_of(other("not_found", "")) == status] == [family]


@pytest.mark.parametrize(("code", "status"), problem.BY_CODE.items())
def test_codes_that_http_knows_keep_its_status(code: str, status: int) -> None:
    assert status_of(errors.Invalid(code, "")) == status


def test_a_subclass_has_its_familys_status() -> None:
    class Lost(errors.NotFound):
        pass

    assert status_of(Lost("file_not_found", "")) == 404


def test_the_document_says_what_was_wrong() -> None:
    refusal = errors.Conflict("catalogue_out_of_step", "Held is 3.", catalogue_version=3)
    assert json.loads(problem.document(refusal, "id-1")) == {
        "type": "/docs#error-catalogue_out_of_step",
        "title": errors.CODES["catalogue_out_of_step"],
        "status": 409,
        "detail": "Held is 3.",
        "code": "catalogue_out_of_step",
        "request_id": "id-1",
        "catalogue_version": 3,
    }


def test_the_document_is_of_the_documented_type() -> None:
    document = msgspec.json.decode(problem.document(errors.NotFound("file_not_found", "x"), "id-1"), type=Problem)
    assert document.status == 404


def test_what_a_refusal_adds_cannot_hide_what_every_document_says() -> None:
    refusal = errors.Invalid("invalid_body", "true", status=200, type="lie", request_id="lie")
    assert json.loads(problem.document(refusal, "id-1"))["status"] == 400


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (errors.TooMany("too_many_requests", ""), "5"),
        (errors.Unavailable("not_ready", ""), "5"),
        (errors.Unavailable("not_ready", "", retry_after=0), "1"),
        (errors.TooMany("too_many_requests", "", retry_after=0.2), "1"),
        (errors.TooMany("too_many_requests", "", retry_after=29.1), "30"),
        (errors.Conflict("replay", "", retry_after=2), "2"),
        (errors.Conflict("replay", ""), None),
        (errors.Refusal("internal_error", ""), None),
    ],
)
def test_who_may_come_back_is_told_when(refusal: errors.Refusal, seconds: str | None) -> None:
    assert headers_of(refusal).get("Retry-After") == seconds


def test_a_missing_token_names_the_scheme_and_a_missing_range_the_size() -> None:
    assert headers_of(errors.Unauthenticated("token_required", ""))["WWW-Authenticate"] == "Bearer"
    assert headers_of(errors.OutOfRange("range_not_satisfiable", "", size=7))["Content-Range"] == "bytes */7"


def test_problems_are_not_kept_by_caches() -> None:
    assert response(errors.NotFound("file_not_found", ""), "id-1").headers["Cache-Control"] == "no-store"


def test_the_raw_form_is_the_same_answer_as_bytes() -> None:
    refusal = errors.Unavailable("too_many_connections", "Zu viele: é.")
    head, body = raw_response(refusal, "id-1").split(b"\r\n\r\n", 1)
    lines = head.decode("ascii").split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    headers = dict(line.split(": ") for line in lines[1:])
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    assert headers["Retry-After"] == "5"
    assert headers["X-Request-ID"] == "id-1"
    assert body == problem.document(refusal, "id-1")


@pytest.mark.parametrize("code", errors.CODES)
def test_every_code_can_leave_in_the_raw_form(code: str) -> None:
    refusal = errors.Invalid(code, "")
    assert raw_response(refusal, "id-1").startswith(f"HTTP/1.1 {status_of(refusal)} ".encode())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (web.HTTPNotFound(), 404, "not_found"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "method_not_allowed"),
        (web.HTTPRequestEntityTooLarge(10, 20), 413, "too_large"),
        (web.HTTPExpectationFailed(), 417, "expectation_failed"),
        (web.HTTPBadRequest(text="<b>"), 400, "bad_request"),
        (web.HTTPInternalServerError(text="secret"), 500, "internal_error"),
        (web.HTTPBadGateway(text="secret"), 500, "internal_error"),
    ],
)
def test_what_aiohttp_raises_has_our_words(error: web.HTTPException, status: int, code: str) -> None:
    refusal = of_http_exception(error)
    assert (status_of(refusal), refusal.code) == (status, code)
    assert "secret" not in refusal.detail and "<" not in refusal.detail
