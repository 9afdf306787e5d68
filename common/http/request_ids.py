"""Ids that tie an answer to its lines in the log: unique in a process, not guessable across processes, cheap to make;
and the headers that every answer bears."""

import itertools
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

_prefix = secrets.token_hex(4)
_numbers = itertools.count(1)


def new_request_id() -> str:
    """For example `9f86d081-1c`."""
    return f"{_prefix}-{next(_numbers):x}"


answer_headers: ContextVar[Mapping[str, str]] = ContextVar("answer_headers", default=MappingProxyType({}))
"""What the boundary wants on the present answer; whoever sends a head from inside a handler puts them there itself."""


def common_headers(request_id: str) -> dict[str, str]:
    """The headers of every answer, whoever makes it."""
    return {"X-Request-ID": request_id, "X-Content-Type-Options": "nosniff", "Server": "Shoal"}
