"""The style sheet, scripts and pictures: a fixed table of names, so no path from outside ever reaches the disk.

A page names each file with its digest (`style.css?v=…`) and a browser keeps that address for good; a bare name is
revalidated each time.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class Asset(NamedTuple):
    """A file as it is sent."""

    body: bytes
    content_type: str
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the folder by its name; read once, when the first page is asked for."""
    files = (path for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES)
    return {path.name: _read(path) for path in files}


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])


def asset_url(name: str) -> str:
    """The address of a file at its present content. KeyError for a name that is not there."""
    return f"/static/{name}?v={assets()[name].digest}"


async def serve_asset(request: web.Request) -> web.Response:
    """GET /static/{name}."""
    asset = assets().get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    headers = {**_HEADERS, "ETag": f'"{asset.digest}"', "Cache-Control": _caching(request, asset)}
    if any(tag.value == asset.digest for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)


def _caching(request: web.Request, asset: Asset) -> str:
    if request.query.get("v") == asset.digest:
        return "public, max-age=31536000, immutable"
    return "no-cache"
