"""Pages of a list: cursors, and the headers that tell the total and where the next page is (RFC 8288)."""

import base64
import binascii
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta
from multidict import MultiDict

from common import errors
from common.http.body import parse_json

Limit = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(max_length=1024)]


def page_headers(request: web.Request, total: int, total_exact: bool, next_cursor: str | None) -> dict[str, str]:
    """`X-Total-Count` and, while there is more, `Link: <…>; rel="next"`."""
    headers = {"X-Total-Count": str(total)}
    if not total_exact:
        headers["X-Total-Exact"] = "false"
    if next_cursor is not None:
        query = MultiDict(request.query)
        query["cursor"] = next_cursor
        headers["Link"] = f'<{request.rel_url.with_query(query)}>; rel="next"'
    return headers


def encode_cursor(kind: str, *values: Any) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *values])).decode().rstrip("=")


def decode_cursor(text: str, kind: str, types: tuple[type, ...]) -> list[Any]:
    """The values of a cursor of this kind. Raises Invalid for anything else."""
    try:
        # As strict as a body: a cursor comes from outside, whoever made it.
        values = parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), list[Any])
        fits = len(values) == len(types) + 1 and values[0] == kind
        if fits and all(type(value) is wanted for value, wanted in zip(values[1:], types, strict=True)):
            return values[1:]
    except (binascii.Error, ValueError, errors.Invalid):
        pass
    raise errors.Invalid("invalid_cursor", "The cursor cannot be read; begin again without one.")
