"""A file for other download programs, over HTTP: `.meta4` and `.torrent`."""

from aiohttp import web

from common import errors
from common.http.endpoint import Endpoint
from common.serving.file_reply import content_disposition
from common.wire.files import FileInfo, Source
from superpeer.files.at_hand import AtHand, Reached
from superpeer.files.exports import METALINK, TORRENT, Export, metalink, torrent
from superpeer.files.routes import file_id, reached
from superpeer.files.shelf import Shelf
from superpeer.files.torrent_hashes import TorrentHashes

FROM_HERE = Reached("127.0.0.1")  # as this machine reaches sources, whatever way the asker came


class ExportRoutes:
    """The exports of files. `is_sha256`: whether a file's id is its SHA-256."""

    def __init__(self, shelf: Shelf, at_hand: AtHand, hashes: TorrentHashes, *, is_sha256: bool) -> None:
        self._shelf = shelf
        self._at_hand = at_hand
        self._hashes = hashes
        self._is_sha256 = is_sha256

    async def metalink(self, request: web.Request) -> web.Response:
        file = await self._shelf.file(file_id(request))
        return _document(metalink(await self._export(request, file)), METALINK, f"{file.filename}.meta4")

    async def torrent(self, request: web.Request) -> web.Response:
        file = await self._shelf.file(file_id(request))
        if file.size == 0:
            raise errors.NotFound("not_found", "An empty file has no pieces, and so no torrent: make it, it is empty.")
        export = await self._export(request, file)
        dialled = (await self._at_hand.of(file.id, here=FROM_HERE)).complete
        pieces = await self._hashes.of(file.id, file.size, dialled)
        return _document(torrent(export, pieces), TORRENT, f"{file.filename}.torrent")

    async def _export(self, request: web.Request, file: FileInfo) -> Export:
        sources: list[Source] = (await self._at_hand.of(file.id, here=reached(request))).complete
        if not sources:
            raise errors.Unavailable(
                "no_source_online", "Nobody who has the whole file is online; try again later.", retry_after=30
            )
        urls = [source.url for source in sources]
        return Export(file.filename, file.size, file.id if self._is_sha256 else None, urls)

    def endpoints(self) -> list[Endpoint]:
        codes = ("file_not_found", "no_source_online")
        return [
            Endpoint(
                method="GET",
                path="/api/v1/files/{id}.meta4",
                handle=self.metalink,
                summary="The file and all its sources as Metalink 4, for aria2 and the like",
                tag="files",
                media=METALINK,
                codes=codes,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/files/{id}.torrent",
                handle=self.torrent,
                summary="The file as a torrent whose web seeds are its sources",
                tag="files",
                media=TORRENT,
                codes=("hashes_pending", "not_found", *codes),
            ),
        ]


def _document(body: bytes, media: str, name: str) -> web.Response:
    headers = {"Content-Disposition": content_disposition(name), "Cache-Control": "no-store"}
    return web.Response(body=body, content_type=media, headers=headers)
