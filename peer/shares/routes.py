"""What this peer offers, over HTTP: lists for everybody, changes for the owner."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Meta, Struct

from common import errors
from common.http.body import read_json
from common.http.endpoint import Access, Endpoint, json_response
from common.http.paging import Cursor, Limit, decode_cursor, encode_cursor, page_headers
from common.ids import is_file_id
from common.wire.files import (
    CATEGORIES,
    DamagedFile,
    Done,
    FileEdit,
    LocalSearchAnswer,
    Share,
    ShareAnswer,
    SharedFile,
    ShareRequest,
    UnshareRequest,
)
from common.wire.scalars import Word
from peer.shares.library import Library

PART = 256 * 1024
STALLED = 30.0  # seconds without a byte of an upload


class LocalSearchQuery(Struct, frozen=True, kw_only=True):
    """Conditions on this peer's own files; all must hold."""

    q: Annotated[str, Meta(max_length=1024)] = ""
    category: Word = ""
    limit: Limit = 1000
    cursor: Cursor = ""


class FilesQuery(LocalSearchQuery, frozen=True, kw_only=True):
    """`prefix`: each path of the catalogue that is this one or lies below it; `/` is all of it."""

    prefix: Annotated[str, Meta(max_length=4096)] = ""


class UnshareQuery(Struct, frozen=True, kw_only=True):
    """`delete`: remove the file from the disk too."""

    delete: bool = False


class ShareRoutes:
    """The endpoints of the library. `max_file_size` bounds one multipart upload (bytes)."""

    def __init__(self, library: Library, max_file_size: int) -> None:
        self._library = library
        self._max_file_size = max_file_size

    async def files(self, request: web.Request, query: FilesQuery) -> web.Response:
        if query.prefix:
            return await self._below(request, query)
        offset = decode_cursor(query.cursor, "files", (int,))[0] if query.cursor else 0
        if offset < 0:
            raise errors.Invalid("invalid_cursor", "The cursor cannot be read; begin again without one.")
        found = await self._library.search(query.q, query.category, offset=offset, limit=query.limit)
        more = offset + len(found.results) < found.count
        cursor = encode_cursor("files", offset + len(found.results)) if more and found.results else None
        return json_response(found.results, headers=page_headers(request, found.count, True, cursor))

    async def _below(self, request: web.Request, query: FilesQuery) -> web.Response:
        """Each path is told, equal contents too; a page goes on behind the last one, whatever changed meanwhile."""
        if query.q or query.category:
            raise errors.Invalid("invalid_parameter", "`prefix` goes without `q` and `category`: leave those out.")
        after = decode_cursor(query.cursor, "below", (int,))[0] if query.cursor else 0
        page = await self._library.below(query.prefix.strip("/"), after=after, limit=query.limit)
        cursor = encode_cursor("below", page.following) if page.following is not None else None
        return json_response(page.files, headers=page_headers(request, page.total, True, cursor))

    async def search(self, request: web.Request, query: LocalSearchQuery) -> LocalSearchAnswer:
        if query.category and query.category not in CATEGORIES:
            return LocalSearchAnswer([], 0, query.q.lower())
        found = await self._library.search(query.q, query.category, offset=0, limit=query.limit)
        return LocalSearchAnswer(found.results, found.count, query.q.lower())

    async def share(self, request: web.Request) -> ShareAnswer:
        if request.content_type == "multipart/form-data":
            return await self._receive(request)
        wanted = await read_json(request, ShareRequest)
        if wanted is None:
            raise errors.Invalid("body_required", "Name a path as JSON, or send a file as multipart/form-data.")
        file_id = await self._library.share(wanted.path, tags=wanted.tags, audience=wanted.audience)
        return ShareAnswer(file_id or "", "File shared successfully" if file_id else "Folder shared successfully")

    async def _receive(self, request: web.Request) -> ShareAnswer:
        if (request.content_length or 0) > self._max_file_size + PART:
            raise self._too_large()
        try:
            reader = await request.multipart()
            async for part in reader:
                if isinstance(part, BodyPartReader) and part.name == "file":
                    file_id = await self._library.receive_upload(part.filename or "file", self._bounded(part))
                    return ShareAnswer(file_id, "File shared successfully")
        except (ValueError, RuntimeError, HttpProcessingError):
            raise errors.Invalid("invalid_body", "The form cannot be read: it is not well-formed.") from None
        raise errors.Invalid("invalid_body", "File required: send it as the form's field `file`.")

    async def _bounded(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        if part.headers.get(hdrs.CONTENT_ENCODING) or part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING):
            raise errors.Unsupported("unsupported_encoding", "Send the file as it is, without an encoding.")
        received = 0
        while chunk := await _next(part):
            received += len(chunk)
            if received > self._max_file_size:
                raise self._too_large()
            yield chunk

    def _too_large(self) -> errors.TooLarge:
        return errors.TooLarge(
            "file_too_large",
            f"File too large: an upload may have {self._max_file_size} bytes (peer.max_file_size). "
            "Share a path instead: that has no bound.",
        )

    async def edit(self, request: web.Request, body: FileEdit) -> SharedFile:
        return await self._library.edit(file_id(request), tags=body.tags, audience=body.audience)

    async def unshare(self, request: web.Request, query: UnshareQuery) -> Done:
        await self._library.unshare(file_id(request), delete=query.delete)
        return Done("File unshared successfully")

    async def shares(self, request: web.Request) -> list[Share]:
        return await self._library.shares()

    async def damaged(self, request: web.Request) -> list[DamagedFile]:
        return await self._library.damaged()

    async def unshare_path(self, request: web.Request, body: UnshareRequest) -> Done:
        await self._library.unshare_path(body.path)
        return Done("No longer shared")

    def endpoints(self) -> list[Endpoint]:
        mine: dict[str, Any] = {"access": Access.OWNER, "tag": "owner"}
        who = ("token_required", "token_invalid")
        share: dict[str, Any] = {
            "method": "POST",
            "handle": self.share,
            "answer": ShareAnswer,
            "codes": (*who, "disk_full", "file_too_large", "invalid_body", "invalid_path", "path_not_shareable"),
            **mine,
        }
        return [
            Endpoint(
                method="GET",
                path="/api/v1/files",
                handle=self.files,
                summary="What this peer offers, newest first",
                tag="files",
                query=FilesQuery,
                answer=list[SharedFile],
                codes=("invalid_limit", "invalid_cursor", "invalid_parameter"),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/search",
                handle=self.search,
                summary="Find files among those of this peer",
                tag="files",
                query=LocalSearchQuery,
                answer=LocalSearchAnswer,
                codes=("invalid_limit", "invalid_parameter"),
            ),
            Endpoint(path="/api/v1/files/share", summary="Offer a file or a folder, or send a file to offer", **share),
            Endpoint(path="/api/v1/upload", summary="Send a file to offer (the same as files/share)", **share),
            Endpoint(
                method="GET",
                path="/api/v1/files/damaged",
                handle=self.damaged,
                summary="Files that are not offered because the disk has lost their bytes",
                answer=list[DamagedFile],
                codes=who,
                **mine,
            ),
            Endpoint(
                method="PATCH",
                path="/api/v1/files/{id}",
                handle=self.edit,
                summary="Change a file's tags or audience",
                body=FileEdit,
                answer=SharedFile,
                codes=(*who, "file_not_found", "invalid_body"),
                **mine,
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/files/unshare/{id}",
                handle=self.unshare,
                summary="Offer a file no longer",
                query=UnshareQuery,
                answer=Done,
                codes=(*who, "file_not_found"),
                **mine,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/shares",
                handle=self.shares,
                summary="The shared folders and files of this machine",
                answer=list[Share],
                codes=who,
                **mine,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/shares/remove",
                handle=self.unshare_path,
                summary="Offer a shared folder no longer",
                body=UnshareRequest,
                answer=Done,
                codes=(*who, "not_found"),
                **mine,
            ),
        ]


async def _next(part: BodyPartReader) -> bytes:
    try:
        async with asyncio.timeout(STALLED):
            return bytes(await part.read_chunk(PART))
    except TimeoutError:
        raise errors.Invalid("body_too_slow", f"Nothing came for {STALLED:g} s; send the file again.") from None


def file_id(request: web.Request) -> str:
    """The id in the path. Raises NotFound for what cannot be one."""
    wanted = request.match_info["id"].lower()
    if not is_file_id(wanted):
        raise errors.NotFound("file_not_found", "A file's id is the 64 hex digits of its hash.")
    return wanted
