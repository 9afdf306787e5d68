"""What the pages show, asked of the slices: the one place where the dashboard meets them."""

from collections.abc import Iterable, Mapping

from common.http.body import to_query
from common.wire.files import FileInfo, SearchAnswer, Source
from common.wire.peers import NetworkStats, Peer
from superpeer.files.at_hand import AtHand
from superpeer.files.search import SearchQuery
from superpeer.files.shelf import Shelf
from superpeer.network.statistics import Statistics
from superpeer.peers.presence import Presence
from superpeer.peers.routes import peer_of
from superpeer.peers.standings import Standings
from superpeer.peers.store import PeerStore


class Reads:
    """Answers the pages' questions for anybody's eyes."""

    def __init__(
        self,
        statistics: Statistics,
        shelf: Shelf,
        at_hand: AtHand,
        store: PeerStore,
        presence: Presence,
        standings: Standings,
    ) -> None:
        self._statistics = statistics
        self._shelf = shelf
        self._at_hand = at_hand
        self._store = store
        self._presence = presence
        self._standings = standings

    async def stats(self) -> NetworkStats:
        return await self._statistics.read()

    async def peers(self, limit: int) -> list[Peer]:
        """Those online first, then those seen last."""
        return [peer_of(row, self._presence, self._standings) for row in await self._store.latest(limit)]

    async def newest(self, limit: int) -> list[FileInfo]:
        return (await self._shelf.page(SearchQuery(sort="date", limit=limit))).files

    async def categories(self) -> dict[str, int]:
        return await self._shelf.categories()

    async def search(self, parameters: Mapping[str, str]) -> SearchAnswer:
        return await self._shelf.search(to_query(parameters, SearchQuery))

    async def file(self, file_id: str) -> FileInfo:
        return await self._shelf.file(file_id)

    async def sources(self, file_id: str) -> list[Source]:
        return (await self._at_hand.of(file_id)).sources

    def names(self, peer_ids: Iterable[str]) -> dict[str, str]:
        """By id, for peers that are not forgotten."""
        return {peer_id: seat.name for peer_id in peer_ids if (seat := self._presence.find(peer_id))}
