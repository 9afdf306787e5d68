"""The cache of downloads over HTTP, for its owner."""

from typing import Any

from aiohttp import web
from msgspec import Struct

from common import errors
from common.http.endpoint import Access, Endpoint
from common.http.paging import Limit
from common.wire.cache import Cache as Listed
from common.wire.files import Done
from peer.shares.cache import Cache
from peer.shares.routes import file_id


class CacheQuery(Struct, frozen=True, kw_only=True):
    """How many files are told one by one."""

    limit: Limit = 1000


class CacheRoutes:
    """`/api/v1/cache`."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def listed(self, request: web.Request, query: CacheQuery) -> Listed:
        return await self._cache.listed(query.limit)

    async def drop(self, request: web.Request) -> Done:
        if not await self._cache.drop(file_id(request)):
            raise errors.NotFound("file_not_found", "There is no such file in the cache: `peer cache` lists them.")
        return Done("It is not offered on any more.")

    async def clear(self, request: web.Request) -> Done:
        count = await self._cache.drop()
        return Done(f"The cache is empty; {count} {'file was' if count == 1 else 'files were'} in it.")

    def endpoints(self) -> list[Endpoint]:
        mine: dict[str, Any] = {"access": Access.OWNER, "tag": "owner"}
        who = ("token_required", "token_invalid")
        return [
            Endpoint(
                method="GET",
                path="/api/v1/cache",
                handle=self.listed,
                summary="Finished downloads that are offered on",
                query=CacheQuery,
                answer=Listed,
                codes=(*who, "invalid_limit"),
                **mine,
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/cache",
                handle=self.clear,
                summary="Offer none of them on",
                answer=Done,
                codes=who,
                **mine,
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/cache/{id}",
                handle=self.drop,
                summary="Offer a finished download on no longer",
                answer=Done,
                codes=(*who, "file_not_found"),
                **mine,
            ),
        ]
