"""The boundary every request crosses, in both daemons: request id, form of the request, Host and Origin, the error
exit, counting, headers that protect browsers.

Guarantees: no exception leaves as anything but a problem document (or, for a person's browser, a page with the same
words); no handler runs for a Host or Origin that may not call it.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from common import errors
from common.http import problem
from common.http.callers import Callers
from common.http.connection import OUTERMOST
from common.http.metrics import Requests
from common.http.request_ids import answer_headers, common_headers, new_request_id
from common.runtime.logs import request_id

log = logging.getLogger("shoal.http")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ErrorPage = Callable[[web.Request, errors.Refusal, int], web.StreamResponse]


class Boundary:
    """Around the whole application, so that what its router refuses passes here too.

    `error_page` draws an error for people; programs and `/api` always get the document.
    """

    def __init__(self, callers: Callers, requests: Requests, error_page: ErrorPage | None = None) -> None:
        self._callers = callers
        self._requests = requests
        self._error_page = error_page

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        this_id = new_request_id()
        request_id.set(this_id)
        headers = common_headers(this_id)
        answer_headers.set(headers)
        routed = False
        try:
            _check_form(request)
            headers |= self._callers.check(request)
            if request.method == "OPTIONS":
                answer: web.StreamResponse = web.Response(status=204)
            else:
                routed = True
                answer = await handler(request)
        except Exception as error:
            if request.writer.output_size > 0:
                # Part of an answer is out: what is left to tell the reader is that it is not whole.
                log.info("answer cut short", extra={"path": request.path, "error": repr(error)})
                raise ConnectionResetError("answer cut short") from error
            answer = self._answer(request, error, this_id)
        if not answer.prepared:
            answer.headers.update(headers)
        self._count(request, _route(request) if routed else "refused", answer.status, time.perf_counter() - started)
        return answer

    def _answer(self, request: web.Request, error: Exception, this_id: str) -> web.StreamResponse:
        refusal = as_refusal(error)
        if refusal.code == "internal_error":
            log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
        answer: web.StreamResponse | None = None
        if self._error_page is not None and wants_page(request):
            try:
                answer = self._error_page(request, refusal, problem.status_of(refusal))
            except Exception:
                log.exception("an error page could not be drawn")
        answer = answer or problem.response(refusal, this_id)
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        if request.can_read_body or refusal.code == "bad_request":
            # The rest of a refused body is not worth reading, nor is what follows what was hardly HTTP.
            answer.force_close()
        return answer

    def _count(self, request: web.Request, route: str, status: int, seconds: float) -> None:
        self._requests.count(request.method, route, status, seconds)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "request",
                extra={
                    "method": request.method,
                    "path": request.path,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                },
            )


def _route(request: web.Request) -> str:
    """The template of the route, which unlike the path has few values."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _check_form(request: web.Request) -> None:
    """HTTP/1.0 or 1.1 with a path: an absolute target would override the Host header, other versions bring none."""
    if request.version not in _VERSIONS:
        raise errors.Invalid("unsupported_version", "Speak HTTP/1.1 to this daemon.")
    if not request.raw_path.startswith("/"):
        raise errors.Invalid("bad_request", "The request target must be a path.")


_VERSIONS = ((1, 1), (1, 0))


def as_refusal(error: Exception) -> errors.Refusal:
    """Any exception as a refusal that may leave."""
    if isinstance(error, errors.Refusal):
        return error
    if isinstance(error, web.HTTPException):
        return problem.of_http_exception(error)
    if isinstance(error, TimeoutError):
        return errors.Unavailable("timed_out", "It took too long; try again later.")
    return errors.Refusal("internal_error", "Something went wrong here; the log names this request id.")


def wants_page(request: web.Request) -> bool:
    """True for a person's browser outside the API."""
    return not f"{request.path}/".startswith("/api/") and "text/html" in request.headers.get("Accept", "")


def make_application(boundary: Boundary, **options: Any) -> web.Application:
    """An aiohttp application behind the boundary."""
    # Bodies are bounded where they are read; this bound is for what nobody bounded.
    app = web.Application(client_max_size=64 * 1024, **options)
    app[OUTERMOST] = boundary
    return app
