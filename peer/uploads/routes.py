"""Files of this peer over HTTP."""

import os
from typing import Protocol

from aiohttp import web

from common import errors
from common.http.endpoint import Endpoint
from common.ids import is_file_id
from common.serving.file_reply import COPIED, Served, send_file
from peer.uploads.slots import Slots


class Shelf(Protocol):
    """Where the files are."""

    async def open_for_serving(self, file_id: str) -> Served:
        """An open file that is what it was when it was hashed. Raises NotFound or Conflict."""

    async def count_download(self, file_id: str) -> None: ...


class UploadRoutes:
    """`GET /api/v1/download/{id}`, within the slots."""

    def __init__(self, shelf: Shelf, slots: Slots) -> None:
        self._shelf = shelf
        self._slots = slots

    async def download(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"].lower()
        if not is_file_id(file_id):
            raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its SHA-256.")
        served = await self._shelf.open_for_serving(file_id)
        try:
            return await self._serve(request, served, file_id)
        finally:
            os.close(served.fd)

    async def _serve(self, request: web.Request, served: Served, file_id: str) -> web.StreamResponse:
        if request.method == "HEAD" or served.version.size <= COPIED:
            answer = await send_file(request, served, self._slots.sent)
        else:
            with self._slots.taken(request.remote or ""):
                answer = await send_file(request, served, self._slots.sent)
        if request.method == "GET" and answer.status == 200:
            self._slots.finished += 1
            await self._shelf.count_download(file_id)
        return answer

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/download/{id}",
                handle=self.download,
                summary="The file, or the part that Range names",
                tag="files",
                media="application/octet-stream",
                codes=(
                    "file_changed",
                    "file_not_found",
                    "precondition_failed",
                    "range_not_satisfiable",
                    "too_many_requests",
                ),
            )
        ]
