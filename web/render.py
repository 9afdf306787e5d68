"""Pages: a template and the values it is handed become an answer, always escaped and always under one strict policy.

Every template may use `path`, `host`, `origin`, `menu` and `now`; what else it needs its caller's context type says,
and a missing value is an error. jinja2 comes with the first page: a daemon that nobody looks at does not carry it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from urllib.parse import urlencode

from aiohttp import web

from web.assets import asset_url, serve_asset

if TYPE_CHECKING:
    from jinja2 import Environment, Template

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # A stricter policy would make a browser send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class MenuItem(NamedTuple):
    """One entry of the navigation; `icon` is a symbol of icons.svg."""

    href: str
    label: str
    icon: str


class _Templates:
    """Stands where aiohttp-jinja2 looks for its Environment, and makes it when the first page is asked for."""

    @cached_property
    def environment(self) -> "Environment":
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        from web.filters import CATEGORIES, FILTERS, TESTS, plain

        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=plain,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(FILTERS)
        environment.tests.update(TESTS)
        environment.globals.update(asset=asset_url, categories_known=CATEGORIES)
        return environment

    def get_template(self, name: str) -> "Template":
        return self.environment.get_template(name)


_ENVIRONMENT: "web.AppKey[Environment]" = web.AppKey("page_templates")
_MENU: "web.AppKey[Sequence[MenuItem]]" = web.AppKey("page_menu")


def setup_pages(app: web.Application, menu: Sequence[MenuItem] = ()) -> None:
    """Makes `render` work in `app` and serves `/static/{name}`. Called once, before the app starts."""
    app[_ENVIRONMENT] = cast("Environment", _Templates())
    app[_MENU] = menu
    app.router.add_get("/static/{name}", serve_asset)


def render(request: web.Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """The page; jinja2's UndefinedError when the context lacks a value that the template names."""
    from aiohttp_jinja2 import render_template

    values = {**_surroundings(request), **context}
    response = render_template(template, request, values, app_key=_ENVIRONMENT, status=status)
    response.headers.update(PAGE_HEADERS)
    return response


def _surroundings(request: web.Request) -> dict[str, Any]:
    return {
        "path": request.path,
        "host": request.host,
        "origin": f"{request.scheme}://{request.host}",
        "menu": request.config_dict[_MENU],
        "now": datetime.now(UTC),
    }


class Failure(Protocol):
    """What a refusal tells a person."""

    @property
    def title(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def code(self) -> str: ...


def error_page(request: web.Request, failure: Failure, status: int, request_id: str = "") -> web.Response:
    """An error for a person: what was wrong, and where to go from here."""
    context = {"failure": failure, "status": status, "request_id": request_id, "again": _start_again(request)}
    return render(request, "error.html", context, status=status)


def _start_again(request: web.Request) -> str:
    """The same search without what may have made it fail; empty off the search page."""
    words = request.query.get("q", "")
    if request.path != "/search":
        return ""
    return "/search?" + urlencode({"q": words}, errors="replace") if words else "/search"
