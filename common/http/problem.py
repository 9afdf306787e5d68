"""The one exit for errors: every refusal leaves as a problem document (RFC 9457) with a stable `code`.

Only here do the families of `common.errors` meet HTTP statuses. Nothing else about a failure leaves the daemon.
"""

import http
import math
from typing import Any

import msgspec
from aiohttp import web

from common import errors
from common.http.request_ids import common_headers

STATUS: dict[type[errors.Refusal], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Outdated: 412,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.OutOfRange: 416,
    errors.Misdirected: 421,
    errors.Unacceptable: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
    errors.NoSpace: 507,
}
# Statuses that HTTP itself asks for and no family has.
BY_CODE = {
    "body_too_slow": 408,
    "expectation_failed": 417,
    "header_too_large": 431,
    "headers_too_slow": 408,
    "internal_error": 500,
    "length_required": 411,
    "method_not_allowed": 405,
    "unsupported_version": 505,
}
# What aiohttp's router and parser raise, told in our words.
CODE_OF_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    417: "expectation_failed",
}
_FAMILIES = {404: errors.NotFound, 413: errors.TooLarge}
DEFAULT_RETRY_AFTER = 5.0
PROBLEM_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """An error as programs read it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def status_of(refusal: errors.Refusal) -> int:
    """The HTTP status of a refusal: its code's own, else its family's."""
    if refusal.code in BY_CODE:
        return BY_CODE[refusal.code]
    return next(STATUS[family] for family in type(refusal).__mro__ if family in STATUS)


def document(refusal: errors.Refusal, request_id: str) -> bytes:
    """The problem document's bytes."""
    content: dict[str, Any] = dict(refusal.extra)
    content |= {
        "type": f"/docs#error-{refusal.code}",
        "title": refusal.title,
        "status": status_of(refusal),
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": request_id,
    }
    return msgspec.json.encode(content)


def headers_of(refusal: errors.Refusal) -> dict[str, str]:
    """The headers that go with a refusal; 429 and 503 always say when to come back."""
    status = status_of(refusal)
    headers = {"Cache-Control": "no-store"}
    if status in (429, 503) or refusal.retry_after is not None:
        seconds = DEFAULT_RETRY_AFTER if refusal.retry_after is None else refusal.retry_after
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "place" in refusal.extra:
        headers["X-Queue-Place"] = str(refusal.extra["place"])
    if isinstance(refusal, errors.OutOfRange):
        headers["Content-Range"] = f"bytes */{refusal.extra.get('size', '*')}"
    return headers


def response(refusal: errors.Refusal, request_id: str) -> web.Response:
    """The refusal as an HTTP answer."""
    return web.Response(
        status=status_of(refusal),
        body=document(refusal, request_id),
        content_type=PROBLEM_TYPE,
        headers=headers_of(refusal),
    )


def raw_response(refusal: errors.Refusal, request_id: str) -> bytes:
    """The same as bytes, for where no request could be read; the connection closes after it."""
    status, body = status_of(refusal), document(refusal, request_id)
    head = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", f"Content-Type: {PROBLEM_TYPE}"]
    head += [f"{name}: {value}" for name, value in (headers_of(refusal) | common_headers(request_id)).items()]
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("ascii") + body


def of_http_exception(error: web.HTTPException) -> errors.Refusal:
    """What aiohttp itself raised, as one of our refusals."""
    code = CODE_OF_STATUS.get(error.status, "internal_error" if error.status >= 500 else "bad_request")
    detail = {
        "not_found": "There is nothing under this path. The API is described at /docs.",
        "method_not_allowed": "This path answers other methods; see the Allow header.",
        "too_large": "The body is larger than this endpoint takes.",
    }.get(code, f"The request was refused: {error.reason}.")
    return _FAMILIES.get(error.status, errors.Invalid)(code, detail)
