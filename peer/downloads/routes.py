"""The owner's downloads over HTTP. The queue is opened when it is first asked for: a peer that only shares goes without
its weight."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from common.http.body import OneOf
from common.http.endpoint import Access, Endpoint, json_response
from common.wire.files import Done
from common.wire.transfer import Download, DownloadEdit, DownloadRequest, DownloadsRequest

if TYPE_CHECKING:
    from peer.downloads.queue import Queue

MAX_BODY = 4 * 1024 * 1024


def body_kind(keys: dict[str, Any]) -> type:
    """Several downloads come as `files`."""
    return DownloadsRequest if "files" in keys else DownloadRequest


class DownloadRoutes:
    """`/api/v1/downloads`."""

    def __init__(self, queue: "Callable[[], Awaitable[Queue]]") -> None:
        self._queue = queue

    async def add(self, request: web.Request, body: DownloadRequest | DownloadsRequest) -> Download | list[Download]:
        queue = await self._queue()
        if isinstance(body, DownloadsRequest):
            return await queue.add(body.files, body.folder)
        return (await queue.add([body]))[0]

    async def downloads(self, request: web.Request) -> web.Response:
        found = (await self._queue()).all()
        return json_response(found, headers={"X-Total-Count": str(len(found))})

    async def get(self, request: web.Request) -> Download:
        return (await self._queue()).get(request.match_info["id"])

    async def edit(self, request: web.Request, body: DownloadEdit) -> Download:
        return await (await self._queue()).edit(request.match_info["id"], body)

    async def cancel(self, request: web.Request) -> Done:
        await (await self._queue()).cancel(request.match_info["id"])
        return Done("The download is cancelled.")

    async def pause(self, request: web.Request) -> Download:
        return await (await self._queue()).pause(request.match_info["id"])

    async def resume(self, request: web.Request) -> Download:
        return await (await self._queue()).resume(request.match_info["id"])

    def endpoints(self) -> "list[Endpoint]":
        owner = ("token_invalid", "token_required")
        one = ("download_not_found", *owner)
        return [
            _endpoint("POST", "", self.add, "Fetch a file, or several, into this machine", body=True),
            _endpoint("GET", "", self.downloads, "All downloads", answer=list[Download], codes=owner),
            _endpoint("GET", "/{id}", self.get, "One download: how far it is and what each source does", codes=one),
            Endpoint(
                method="PATCH",
                path="/api/v1/downloads/{id}",
                handle=self.edit,
                summary="Change a download's priority, or whether it comes in order",
                tag="downloads",
                body=DownloadEdit,
                answer=Download,
                access=Access.OWNER,
                codes=("invalid_body", *one),
            ),
            _endpoint(
                "DELETE", "/{id}", self.cancel, "Cancel a download, or forget one that is over", answer=Done, codes=one
            ),
            _endpoint("POST", "/{id}/pause", self.pause, "Stop a download for a while", codes=("download_ended", *one)),
            _endpoint("POST", "/{id}/resume", self.resume, "Go on with a download", codes=("download_ended", *one)),
        ]


def _endpoint(
    method: str,
    path: str,
    handle: Callable[..., Awaitable[Any]],
    summary: str,
    *,
    answer: Any = Download,
    codes: tuple[str, ...] = (),
    body: bool = False,
) -> Endpoint:
    adds = ("disk_full", "file_not_found", "invalid_body", "invalid_path", "too_many_downloads")
    return Endpoint(
        method=method,
        path=f"/api/v1/downloads{path}",
        handle=handle,
        summary=summary,
        tag="downloads",
        body=OneOf((DownloadRequest, DownloadsRequest), body_kind) if body else None,
        answer=Download | list[Download] if body else answer,
        access=Access.OWNER,
        codes=(*adds, "token_invalid", "token_required") if body else codes,
        limit=MAX_BODY,
    )
