"""Peers over HTTP."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from msgspec import Struct

from common import errors
from common.http.bearer import bearer_token
from common.http.endpoint import Access, Endpoint, json_response
from common.http.paging import Cursor, Limit, decode_cursor, encode_cursor, page_headers
from common.runtime.clock import utc
from common.wire.peers import (
    Challenge,
    ChallengeRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Peer,
    RegisterAnswer,
    RegisterRequest,
)
from common.wire.scalars import Word
from superpeer.peers.presence import Presence, Seat
from superpeer.peers.registry import Registry
from superpeer.peers.standings import Standings
from superpeer.peers.store import PeerStore

Observed = Callable[[web.Request], str]


class PeersQuery(Struct, frozen=True, kw_only=True):
    """Which peers to list."""

    online: bool | None = None
    region: Word | None = None
    limit: Limit = 1000
    cursor: Cursor = ""


def peer_of(row: Any, presence: Presence, standings: Standings) -> Peer:
    """A row as everybody sees it; whether and when the peer was here, memory knows better than the row."""
    seat = presence.numbered(row["n"])
    return Peer(
        id=row["id"],
        name=row["name"],
        address=row["address"],
        port=row["port"],
        last_seen=utc(seat.last_seen if seat else row["last_seen"]),
        is_online=seat.online if seat else row["online"],
        reputation=standings.of(row["n"]).reputation,
        shared_files=row["shared_files"],
        shared_bytes=row["shared_bytes"],
        region=row["region"],
        verified=row["public_key"] is not None,
        version=row["version"],
        direct=seat is None or seat.direct is not False,
    )


class PeerRoutes:
    """The endpoints of peers. `observed` tells the address that a request comes from."""

    def __init__(
        self, registry: Registry, presence: Presence, standings: Standings, store: PeerStore, observed: Observed
    ) -> None:
        self._registry = registry
        self._presence = presence
        self._standings = standings
        self._store = store
        self._observed = observed

    def sender(self, request: web.Request) -> Seat:
        """The peer that a request comes from."""
        return self._registry.recognise(
            request.headers.get("X-Peer-ID"), bearer_token(request), self._observed(request)
        )

    async def challenge(self, request: web.Request, body: ChallengeRequest) -> Challenge:
        return self._registry.challenge(body.public_key)

    async def register(self, request: web.Request, body: RegisterRequest) -> RegisterAnswer:
        return await self._registry.register(body, self._observed(request), bearer_token(request))

    async def heartbeat(self, request: web.Request, body: HeartbeatRequest | None) -> HeartbeatAnswer:
        return await self._registry.heartbeat(self.sender(request), body)

    async def unregister(self, request: web.Request) -> None:
        await self._registry.leave(self.sender(request))

    async def peers(self, request: web.Request, query: PeersQuery) -> web.Response:
        after = decode_cursor(query.cursor, "peers", (int,))[0] if query.cursor else 0
        rows = await self._store.rows(query.online, query.region, after, query.limit + 1)
        more = len(rows) > query.limit
        rows = rows[: query.limit]
        cursor = encode_cursor("peers", rows[-1]["n"]) if more else None
        total = await self._store.count(query.online, query.region)
        peers = [peer_of(row, self._presence, self._standings) for row in rows]
        return json_response(peers, headers=page_headers(request, total, True, cursor))

    async def peer(self, request: web.Request) -> Peer:
        return await self.find(request.match_info["id"])

    async def find(self, peer_id: str) -> Peer:
        """One peer. Raises NotFound."""
        row = await self._store.row(peer_id)
        if row is None:
            raise errors.NotFound("peer_not_found", "No peer of this id is known here.")
        return peer_of(row, self._presence, self._standings)

    def endpoints(self) -> list[Endpoint]:
        gone = ("peer_not_found", "token_invalid", "token_required")
        return [
            Endpoint(
                method="POST",
                path="/api/v1/peers/challenge",
                handle=self.challenge,
                summary="Ask for a nonce to sign",
                tag="peers",
                body=ChallengeRequest,
                answer=Challenge,
                codes=("invalid_body",),
            ),
            Endpoint(
                method="POST",
                path="/api/v1/peers/register",
                handle=self.register,
                summary="Become a peer, or say again that one is",
                tag="peers",
                body=RegisterRequest,
                answer=RegisterAnswer,
                codes=(
                    "address_not_allowed",
                    "challenge_expired",
                    "hash_algorithm_differs",
                    "id_taken",
                    "identity_required",
                    "invalid_body",
                    "network_full",
                    "signature_invalid",
                    "too_many_peers",
                ),
            ),
            Endpoint(
                method="POST",
                path="/api/v1/peers/heartbeat",
                handle=self.heartbeat,
                summary="Say that one is here",
                body=HeartbeatRequest,
                body_required=False,
                answer=HeartbeatAnswer,
                codes=(*gone, "replay"),
                access=Access.PEER,
                tag="peers",
            ),
            Endpoint(
                method="POST",
                path="/api/v1/peers/unregister",
                handle=self.unregister,
                summary="Leave",
                status=204,
                codes=gone,
                access=Access.PEER,
                tag="peers",
            ),
            Endpoint(
                method="GET",
                path="/api/v1/peers",
                handle=self.peers,
                summary="All peers",
                tag="peers",
                query=PeersQuery,
                answer=list[Peer],
                codes=("invalid_limit", "invalid_cursor"),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/peers/{id}",
                handle=self.peer,
                summary="One peer",
                tag="peers",
                answer=Peer,
                codes=("peer_not_found",),
            ),
        ]
