"""Piece hashes over HTTP: what proves each piece of a file by itself."""

import asyncio

from aiohttp import web

from common import errors
from common.http.endpoint import Endpoint, json_response
from common.serving.ranges import etag_listed
from common.wire.transfer import ManifestAnswer
from peer.shares.library import Library
from peer.shares.manifests import COME_BACK
from peer.shares.routes import file_id

PATIENCE = 10.0
"""Seconds for which an answer waits for hashes that are still being made."""


class ManifestRoutes:
    """`GET /api/v1/manifest/{id}`."""

    def __init__(self, library: Library, patience: float = PATIENCE) -> None:
        self._library = library
        self._patience = patience

    async def manifest(self, request: web.Request) -> web.Response:
        wanted = file_id(request)
        if (tag := await self._tag_held(request, wanted)) is not None:
            return web.Response(status=304, headers={"ETag": tag})
        try:
            async with asyncio.timeout(self._patience):
                manifest = await self._library.manifest(wanted)
        except TimeoutError:
            detail = "The file's piece hashes are being made, for which all of it is read; ask again."
            raise errors.Unavailable("hashes_pending", detail, retry_after=COME_BACK) from None
        answer = ManifestAnswer(wanted, manifest.size, manifest.grid.piece_size, manifest.hex_hashes())
        return json_response(answer, headers={"ETag": f'"{manifest.digest}"'})

    async def _tag_held(self, request: web.Request, wanted: str) -> str | None:
        """The manifest's ETag, if the asker names it: told without reading the hashes."""
        asked = request.headers.get("If-None-Match")
        digest = await self._library.manifest_digest(wanted) if asked is not None else None
        return f'"{digest}"' if digest is not None and etag_listed(asked, f'"{digest}"') else None

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/manifest/{id}",
                handle=self.manifest,
                summary="The hashes of a file's pieces, made when first asked for",
                tag="files",
                answer=ManifestAnswer,
                codes=("file_changed", "file_not_found", "hashes_pending"),
            )
        ]
