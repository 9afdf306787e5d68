"""The one way out: every HTTP request that a daemon or the command line makes to another machine leaves here.

Redirects are not followed, compressed answers not read, cookies and the environment's proxies not used; heads, bodies
and the time that they take are bounded. Whatever goes wrong is an OutgoingError.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from common.http.dialling import (
    CONNECT_DEADLINE,
    SILENCE_DEADLINE,
    ForbiddenAddress,
    Policy,
    endpoint,
    open_session,
)

T = TypeVar("T")

MAX_JSON = 1024 * 1024
MAX_PROBLEM = 64 * 1024
MAX_RETRY_AFTER = 24 * 3600.0
HEAD_DEADLINE = 15.0  # seconds
JSON_DEADLINE = 15.0

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class OutgoingError(Exception):
    """A request to another machine that did not succeed.

    `code` is the word of its problem document when it sent one (`problem` holds the whole document), else one of ours:
    address_not_allowed, source_unavailable, timed_out, too_large, unsupported_encoding, invalid_body. `status` is None
    when there was no answer; `retry_after` is in seconds.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.problem: Mapping[str, Any] = problem or {}


class Outgoing:
    """Requests under a policy. Made inside a running loop; closed when done, or used with `async with`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._others = open_session(policy)
        # Apart, so that a connection to a chosen endpoint is never lent to an address that the policy forbids.
        self._chosen = open_session(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection."""
        await self._others.close()
        await self._chosen.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        deadline: float | None = None,
        head_deadline: float | None = HEAD_DEADLINE,
        silence: float = SILENCE_DEADLINE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of a request that succeeded (2xx), its body still to be read from `.content`.

        `deadline` (seconds) bounds everything inside the `with`, `head_deadline` the time until the head has come,
        sending included, `silence` each time in which nothing comes. A `body` that comes in parts is sent as the other
        side takes it.
        Raises OutgoingError, also for what goes wrong while the body is read.
        """
        session, target = self._route(url)
        try:
            async with asyncio.timeout(deadline):
                patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE, sock_read=silence)
                response = await _send(session, method, target, headers, body, head_deadline, patience)
                async with response:
                    yield response
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            raise _as_outgoing(target, error) from error

    @asynccontextmanager
    async def websocket(
        self, url: str, *, headers: Mapping[str, str], ping: float, largest: int
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open WebSocket; frames of at most `largest` bytes are taken, a ping is sent every `ping` seconds.

        Raises OutgoingError.
        """
        session, target = self._route(url)
        try:
            async with asyncio.timeout(HEAD_DEADLINE):
                socket = await session.ws_connect(target, headers=headers, heartbeat=ping, max_msg_size=largest)
            async with socket:
                yield socket
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            raise _as_outgoing(target, error) from error

    async def get_json(
        self,
        url: str,
        kind: type[T],
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_JSON,
        deadline: float = JSON_DEADLINE,
    ) -> T:
        """The answer to a GET as a `kind`, at most `limit` bytes of JSON, within `deadline` seconds."""
        async with self.request("GET", url, headers=headers, deadline=deadline) as response:
            return _decoded(await read_bounded(response, limit), kind, response)

    async def post_json(
        self,
        url: str,
        message: object,
        kind: type[T],
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_JSON,
        deadline: float = JSON_DEADLINE,
    ) -> T:
        """The answer to a POST of `message` (a wire type) as a `kind`."""
        sent = {**(headers or {}), "Content-Type": "application/json"}
        body = msgspec.json.encode(message)
        async with self.request("POST", url, headers=sent, body=body, deadline=deadline) as response:
            return _decoded(await read_bounded(response, limit), kind, response)

    def _route(self, url: str) -> tuple[aiohttp.ClientSession, URL]:
        """The session that may serve `url`."""
        try:
            target = URL(url)
            wanted = endpoint(url)
        except ValueError as error:
            raise OutgoingError("address_not_allowed", "This is not a URL that can be asked.") from error
        if target.scheme not in ("http", "https") or target.user is not None or target.password is not None:
            raise OutgoingError("address_not_allowed", "Only plain http and https URLs are asked.")
        if wanted in self.policy.chosen:
            return self._chosen, target
        try:
            self.policy.check_host(wanted[0])
        except ForbiddenAddress as error:
            raise OutgoingError("address_not_allowed", "Only addresses are dialled here, not names.") from error
        return self._others, target


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, at most `limit` bytes of it; raises OutgoingError too_large."""
    body = bytearray()
    if (response.content_length or 0) <= limit:
        async for part in response.content.iter_any():
            body += part
            if len(body) > limit:
                break
        else:
            return bytes(body)
    detail = f"{_name(response.url)} sent more than the {limit} bytes that are taken."
    raise OutgoingError("too_large", detail, status=response.status)


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    target: URL,
    headers: Mapping[str, str] | None,
    body: bytes | AsyncIterator[bytes] | None,
    deadline: float | None,
    patience: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    async with asyncio.timeout(deadline):
        try:
            response = await session.request(
                method, target, headers=headers, data=body, allow_redirects=False, timeout=patience
            )
        except aiohttp.ClientError:
            raise
        except ValueError as error:  # a header that cannot be sent: its value may come from another machine
            raise OutgoingError("source_unavailable", f"{_name(target)} cannot be asked this way.") from error
        try:
            await _require_success(response)
        except BaseException:
            response.close()
            raise
        return response


async def _require_success(response: aiohttp.ClientResponse) -> None:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        detail = f"{_name(response.url)} compressed its answer unasked."
        raise OutgoingError("unsupported_encoding", detail, status=response.status)
    if not 200 <= response.status < 300:
        raise await _refusal(response)


async def _refusal(response: aiohttp.ClientResponse) -> OutgoingError:
    """What an answer without success says, as far as it can be understood."""
    problem = await _problem(response)
    code, detail = problem.get("code"), problem.get("detail")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        code, detail = "source_unavailable", None
    if not isinstance(detail, str):
        detail = f"{_name(response.url)} answered {response.status}."
    return OutgoingError(
        code,
        _printable(detail),
        status=response.status,
        retry_after=_seconds(response.headers.get("Retry-After", "")),
        problem=problem,
    )


async def _problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    if response.content_type not in ("application/problem+json", "application/json"):
        return {}
    try:
        return msgspec.json.decode(await read_bounded(response, MAX_PROBLEM), type=dict[str, Any])
    except (OutgoingError, ValueError, RecursionError):
        return {}


def _decoded(body: bytes, kind: type[T], response: aiohttp.ClientResponse) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:
        detail = f"{_name(response.url)} did not answer with the JSON that was expected."
        raise OutgoingError("invalid_body", detail, status=response.status) from error


def _as_outgoing(target: URL, error: Exception) -> OutgoingError:
    """The one shape of all that aiohttp and the clock raise."""
    if isinstance(error, aiohttp.InvalidURL):
        return OutgoingError("address_not_allowed", "This is not a URL that can be asked.")
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ForbiddenAddress):
            return OutgoingError("address_not_allowed", f"{_name(target)} may not be dialled from here.")
        return OutgoingError("source_unavailable", f"{_name(target)} cannot be reached.")
    if isinstance(error, TimeoutError):
        return OutgoingError("timed_out", f"{_name(target)} did not answer in time.")
    return OutgoingError("source_unavailable", f"{_name(target)} did not answer as it should.")


def _name(url: URL) -> str:
    return _printable(f"{url.host_subcomponent}:{url.port}")


def _printable(text: str) -> str:
    """Text of another machine, fit for a log and a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:300])


def _seconds(text: str) -> float | None:
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else None
