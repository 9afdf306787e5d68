"""The daemon's side of a TCP connection, over aiohttp's parser: who may connect, how many, how slowly, and what the
parser's own errors look like.

Guarantees: a head that does not come within its deadline and an answer that is not read within its own end the
connection, whatever is still buffered; bytes that are not HTTP are answered by a problem document; beyond the limits a
connection is told so and closed.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from common import errors
from common.http import problem
from common.http.request_ids import common_headers, new_request_id

log = logging.getLogger("shoal.http")

SLOWEST_READER = 16 * 1024  # bytes a second
BUFFERED = 56 * 1024  # so much and a head never wait for the reader: a transport makes us wait above 64 KiB


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """At most `total` connections, `per_address` from one address (`exempt` ones are not counted), only from `allowed`
    sources. A head has `head_deadline` seconds to come, an answer `answer_grace` and its time at SLOWEST_READER to be
    read."""

    total: int
    per_address: int
    allowed: Callable[[str], bool]
    exempt: Callable[[str], bool]
    head_deadline: float = 15.0
    answer_grace: float = 30.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Outermost(Protocol):
    """Around the handling of a request, router and all."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse: ...


OUTERMOST: web.AppKey[Outermost] = web.AppKey("outermost")
"""What every request of an application passes through, before its router."""


class Connection(web.RequestHandler):
    """One connection; see the module."""

    __slots__ = ("_counted", "_half_a_head")

    def __init__(self, manager: "Server", **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._half_a_head = False
        self._counted: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        address = peername[0] if isinstance(peername, tuple) else ""
        refusal = self._manager.admit(address) if isinstance(self._manager, Server) else None
        super().connection_made(transport)
        if refusal is None:
            self._counted = address
        else:
            self._say_goodbye(refusal)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted is not None and isinstance(self._manager, Server):
            self._manager.release(self._counted)
            self._counted = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before, idle = self._request_count, self._request_count == 0 or self._is_idle()
        super().data_received(data)
        # What comes while a request is at work is that one's body.
        self._half_a_head = idle and self._request_count == before

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _process_keepalive(self) -> None:
        late = self._loop.time() >= self._next_keepalive_close_time
        if self._is_idle() and late and self._half_a_head and not self._force_close:
            seconds = self._keepalive_timeout
            self._say_goodbye(
                errors.Invalid("headers_too_slow", f"The request's head did not come within {seconds:g} s.")
            )
        super()._process_keepalive()

    async def start(self) -> None:
        transport, manager = self.transport, self._manager
        try:
            await super().start()
        finally:
            # Closed, but not before all is sent: who does not read that in time loses it.
            if transport is not None and transport.get_write_buffer_size() and isinstance(manager, Server):
                self._loop.call_later(manager.limits.answer_grace, _abort, transport)

    def _say_goodbye(self, refusal: errors.Refusal) -> None:
        if self.transport is not None:
            self.transport.write(problem.raw_response(refusal, new_request_id()))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What went wrong outside the application: the parser's errors, and `Expect` that cannot be met."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; no other can be sent")
        return _last_answer(refusal_of(status, exc), exc)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        size = resp.content_length if type(resp) is web.Response else None
        if size is None:
            if isinstance(resp, web.HTTPException):
                resp = _last_answer(problem.of_http_exception(resp), resp)
            return super().finish_response(request, resp, start_time)
        unread = self.transport.get_write_buffer_size() if self.transport is not None else 0
        if size + unread <= BUFFERED:
            return super().finish_response(request, resp, start_time)
        return self._finish_in_time(request, resp, start_time, size + unread)

    async def _finish_in_time(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None, size: int
    ) -> tuple[web.StreamResponse, bool]:
        grace = self._manager.limits.answer_grace if isinstance(self._manager, Server) else 0.0
        try:
            async with asyncio.timeout(grace + size / SLOWEST_READER):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            return resp, True


def _abort(transport: asyncio.Transport) -> None:
    """Cuts what a goodbye did not close; one that is closed by now has no loop any more."""
    if transport.get_extra_info("socket") is not None and transport.get_extra_info("socket").fileno() >= 0:
        transport.abort()


def _last_answer(refusal: errors.Refusal, exc: BaseException | None) -> web.Response:
    """The answer to what never came to the application, or went wrong around it; the connection closes after it."""
    this_id = new_request_id()
    if refusal.code == "internal_error":
        log.error("request failed outside the application", exc_info=exc, extra={"request_id": this_id})
    answer = problem.response(refusal, this_id)
    answer.headers.update(common_headers(this_id))
    answer.force_close()
    return answer


def refusal_of(status: int, exc: BaseException | None) -> errors.Refusal:
    """The refusal that stands for what the parser or the router raised."""
    if isinstance(exc, errors.Refusal):
        return exc
    if isinstance(exc, LineTooLong) or (isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message):
        return errors.Invalid("header_too_large", "The request line or a header is too long, or there are too many.")
    if isinstance(exc, BadHttpMessage) or status == 400:
        return errors.Invalid("bad_request", "This is not a well-formed HTTP/1.1 request.")
    return errors.Unavailable("internal_error", "The request could not be handled.")


class Server(web.Server):
    """Makes a Connection for every accepted socket and counts them."""

    def __init__(self, handler: Any, *, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self.limits = limits
        self.open = 0
        self.refused = 0
        self._by_address: Counter[str] = Counter()

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, address: str) -> errors.Refusal | None:
        """Counts a new connection, or says why it is not taken."""
        limits = self.limits
        counted = not limits.exempt(address)
        if self.open >= limits.total or (counted and self._by_address[address] >= limits.per_address):
            self.refused += 1
            return errors.Unavailable("too_many_connections", "Too many connections are open; try again later.")
        if not limits.allowed(address):
            self.refused += 1
            return errors.Forbidden(
                "address_not_allowed",
                f"The daemon that you called serves its own network only, and you come from {address}, outside of it. "
                "Call it from inside, or let whoever runs it set security.profile to public.",
            )
        self.open += 1
        if counted:
            self._by_address[address] += 1
        return None

    def release(self, address: str) -> None:
        """A counted connection is gone."""
        self.open -= 1
        if self._by_address[address] > 1:
            self._by_address[address] -= 1
        else:
            self._by_address.pop(address, None)


class Runner(web.AppRunner):
    """An AppRunner whose connections are ours, with every limit and deadline of this daemon set."""

    def __init__(self, app: web.Application, limits: ConnectionLimits) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=limits.head_deadline,
            lingering_time=2.0,
            auto_decompress=False,
            max_line_size=4096,
            max_field_size=8190,
            max_headers=64,
            shutdown_timeout=3.0,
        )
        self._limits = limits

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        outermost = self.app.get(OUTERMOST)
        return Server(
            partial(outermost, handler=made.request_handler) if outermost else made.request_handler,
            limits=self._limits,
            request_factory=made.request_factory,
            loop=made._loop,
            handler_cancellation=True,
            **made._kwargs,
        )
