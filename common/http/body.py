"""Reading what a request brings: `read_json` for bodies, `read_query` for parameters. Every handler's input passes
here, once.

What passes is exactly of the declared type: application/json with a length, uncompressed, at most `limit` bytes, come
in time; no duplicate keys, NaN, lone surrogates, NUL, integers beyond 2^53 or nesting beyond 16 levels.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec
from aiohttp import hdrs, web
from multidict import MultiMapping

from common import errors
from common.wire.scalars import MAX_INT

T = TypeVar("T")
DEFAULT_LIMIT = 64 * 1024
MAX_DEPTH = 16
_SPACE = " \t\r\n"
SLOWEST_BODY = 16 * 1024  # bytes a second
GRACE = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class OneOf:
    """A body of one of several kinds, told apart by `choose` from the keys it names."""

    kinds: tuple[type, ...]
    choose: Callable[[dict[str, Any]], type]


async def read_json(
    request: web.Request, kind: type[T] | OneOf, limit: int = DEFAULT_LIMIT, grace: float = GRACE
) -> T | None:
    """The body as a `kind`; None when there is no body. Raises Invalid, Unsupported or TooLarge.

    It may take `grace` seconds and its time at SLOWEST_BODY to come.
    """
    length = acceptable_length(request, limit)
    if not length:
        return None
    # Most bodies come with their head: then there is nothing to wait for.
    complete = request.content.is_eof()
    raw = request.content.read_nowait() if complete else await _read_in_time(request, length, grace)
    return parse_json(raw, kind) if raw else None


def acceptable_length(request: web.Request, limit: int) -> int:
    """The length of a body whose type and coding are taken too; 0 for none. Raises Invalid, Unsupported or TooLarge."""
    headers = request.headers
    if hdrs.TRANSFER_ENCODING in headers:
        raise errors.Invalid("length_required", "Send the body with a Content-Length, not chunked.")
    length = request.content_length
    if not length:
        return 0
    if hdrs.CONTENT_ENCODING in headers:
        raise errors.Unsupported("unsupported_encoding", "Send the body uncompressed, without Content-Encoding.")
    if headers.get(hdrs.CONTENT_TYPE) != "application/json" and not _is_json(request):
        raise errors.Unsupported("unsupported_media_type", "Send the body with Content-Type: application/json.")
    if length > limit:
        raise errors.TooLarge("too_large", f"The body has {length} bytes; at most {limit} are taken here.")
    return length


def _is_json(request: web.Request) -> bool:
    return request.content_type == "application/json" and (request.charset or "utf-8").lower() in ("utf-8", "utf8")


async def _read_in_time(request: web.Request, length: int, grace: float) -> bytes:
    try:
        async with asyncio.timeout(grace + length / SLOWEST_BODY):
            return await request.content.readexactly(length)
    except TimeoutError:
        raise errors.Invalid("body_too_slow", f"The body's {length} bytes did not come in time.") from None
    except asyncio.IncompleteReadError:
        raise errors.Invalid("invalid_body", "The body ended before its Content-Length.") from None


def parse_json(raw: bytes, kind: type[T] | OneOf) -> T:
    """Strictly parsed JSON as a `kind`."""
    try:
        text = raw.decode("utf-8").strip(_SPACE)
        # A number that may be too large has many digits or an exponent; only then is each one looked at.
        value, end = (_careful if _LONG_NUMBER.search(text) else _decoder).raw_decode(text)
        if end != len(text):
            raise _Unwanted("holds more than one JSON value")
        if text.count("{") + text.count("[") > MAX_DEPTH or "\\u" in text:
            _check(value)
        chosen: Any = kind.choose(value if isinstance(value, dict) else {}) if isinstance(kind, OneOf) else kind
        return cast(T, msgspec.convert(value, chosen))
    except _Unwanted as error:
        raise errors.Invalid("invalid_body", f"The body {error}.") from None
    except UnicodeDecodeError:
        raise errors.Invalid("invalid_body", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise errors.Invalid("invalid_body", f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise errors.Invalid("invalid_body", f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except msgspec.ValidationError as error:
        raise errors.Invalid("invalid_body", f"The body does not fit: {error}.") from None


class _Unwanted(Exception):
    """Valid JSON of a kind that is not taken."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unwanted("names a key twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > MAX_INT:
        raise _Unwanted("holds an integer beyond 2^53")
    return value


def _constant(name: str) -> None:
    raise _Unwanted(f"holds {name}, which is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _Unwanted("holds a number out of range")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_careful = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
_LONG_NUMBER = re.compile(r"[0-9]{16}|[0-9][eE]")


def _check(value: Any) -> None:
    """Refuses NUL, lone surrogates and deep nesting, level by level so that depth cannot exhaust the stack."""
    level, depth = [value], 0
    while level:
        inner: list[Any] = []
        nested = False
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                nested = True
                inner.extend(item)
                inner.extend(item.values())
            elif isinstance(item, list):
                nested = True
                inner.extend(item)
        level, depth = inner, depth + nested
        if depth > MAX_DEPTH:
            raise _Unwanted(f"is nested deeper than {MAX_DEPTH} levels")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _Unwanted("holds a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _Unwanted("holds a lone surrogate")


def read_query(request: web.Request, kind: type[T]) -> T:
    """The query string as a `kind` (a Struct); unknown parameters are ignored, of a repeated one the first counts."""
    return to_query(request.query, kind)


def to_query(query: Mapping[str, str], kind: type[T]) -> T:
    """Parameters (a multidict, or a dict of single ones) as a `kind`."""
    values: dict[str, Any] = {}
    for name, many in _parameters(kind):
        if name in query:
            given = query.getall(name) if isinstance(query, MultiMapping) else [query[name]]
            values[name] = given if many else given[0]
            if any("\0" in value for value in given):
                raise errors.Invalid("invalid_parameter", f"{name} holds a NUL character.")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _parameter_error(str(error), kind) from None


def _parameters(kind: type) -> Iterator[tuple[str, bool]]:
    known = _PARAMETERS.get(kind)
    if known is None:
        fields = msgspec.structs.fields(kind)
        known = _PARAMETERS[kind] = [(f.encode_name, _is_list(f.type)) for f in fields]
    return iter(known)


def _is_list(annotation: Any) -> bool:
    inner = getattr(annotation, "__origin__", annotation)
    return inner is list or get_origin(inner) is list


_PARAMETERS: dict[type, list[tuple[str, bool]]] = {}


def _parameter_error(message: str, kind: type) -> errors.Invalid:
    name = message.partition("`$.")[2].partition("`")[0].partition("[")[0]
    code = {"limit": "invalid_limit", "sort": "invalid_sort", "cursor": "invalid_cursor"}.get(name, "invalid_parameter")
    taken = next((_taken(f.type) for f in msgspec.structs.fields(kind) if f.encode_name == name), "")
    return errors.Invalid(code, f"{name} must be {taken}." if taken else f"A parameter does not fit: {message}.")


def _taken(annotation: Any, least: float | None = None, most: float | None = None, longest: int | None = None) -> str:
    """What a parameter of this type takes, in words; empty when there are none for it."""
    origin, inner = get_origin(annotation), [each for each in get_args(annotation) if each is not type(None)]
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is Annotated and isinstance(inner[1], msgspec.Meta):
        meta = inner[1]
        return _taken(inner[0], meta.ge, meta.le, meta.max_length)
    if origin is list:
        each = _taken(inner[0])
        return f"given at most {longest} times, each {each}" if longest else each
    if inner:
        return _taken(inner[0])
    words = {
        int: f"a number from {least} to {most}" if most is not None else "a number",
        bool: "true or false",
        datetime: "a date and time such as 2026-01-31T12:00:00Z",
        str: f"a text of at most {longest} characters" if longest else "a text",
    }
    return words.get(annotation, "")
