"""An index over a real database, without HTTP and without presence: what is announced, what is found."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec

from common.http.body import to_query
from common.runtime.clock import ManualClock
from common.wire.files import CatalogueDelta, Entry
from superpeer.database.connections import Database
from superpeer.files.index import Change, Index
from superpeer.files.search import SearchQuery
from superpeer.files.shelf import Page, Shelf
from superpeer.peers.store import PeerStore
from tests.support.peers import content_id

QUOTA = 5000


def entry(path: str, content: str | None = None, **more: Any) -> Entry:
    """A catalogue entry; its content is its path unless told otherwise."""
    text = path if content is None else content
    return msgspec.convert({"path": path, "id": content_id(text), "size": len(text.encode())} | more, Entry)


class Library:
    """One index. Peers are known by the words that the test gives them."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.database = Database(path)
        self.index = Index(self.database, QUOTA, QUOTA // 10)
        self.shelf = Shelf(self.database, self.clock)
        self.store = PeerStore(self.database, self.index)
        self._peers: dict[str, int] = {}
        self._versions: dict[str, int] = {}

    async def number(self, peer: str) -> int:
        """The peer's number; one that is new registers, with a key, in the region of its first letter."""
        if peer not in self._peers:
            values = {
                "id": peer,
                "name": peer,
                "address": "127.0.0.1",
                "port": 9001 + len(self._peers),
                "registered_from": "127.0.0.1",
                "region": peer[0],
                "version": "",
                "public_key": b"k" * 32 if not peer.startswith("keyless") else None,
                "token_digest": b"",
                "sequence": -1,
                "online": True,
                "last_seen": self.clock.now(),
            }
            self._peers[peer] = (await self.store.save(values, self.clock.monotonic())).n
        return self._peers[peer]

    async def announce(
        self, peer: str, *add: Entry, remove: Sequence[str] = (), begin: bool = False, complete: bool = False
    ) -> Change:
        """One delta that continues what the peer announced last, or begins anew."""
        n = await self.number(peer)
        base = 0 if begin else self._versions.get(peer, 0)
        delta = CatalogueDelta("c", base, list(add), list(remove), complete)
        held, change = await self.index.apply(n, delta, self.clock.now())
        self._versions[peer] = held.version
        return change

    async def set_online(self, peer: str, online: bool) -> None:
        await self.store.set_online([await self.number(peer)], online)

    async def forget(self, peer: str) -> None:
        await self.store.delete(await self.number(peer))
        del self._peers[peer]
        self._versions.pop(peer, None)

    async def page(self, **query: Any) -> Page:
        """One page of a search; parameters as in a query string."""
        return await self.shelf.page(query_of(**query))

    async def names(self, **query: Any) -> list[str]:
        """The names on that page."""
        return [info.filename for info in (await self.page(**query)).files]

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """What is committed."""
        with closing(sqlite3.connect(self.database.path)) as connection:
            return connection.execute(query, parameters).fetchall()


def query_of(**query: Any) -> SearchQuery:
    """The query that these parameters are; `tag` may be a list."""
    tags = query.pop("tag", [])
    made = to_query({name: str(value) for name, value in query.items()}, SearchQuery)
    return msgspec.structs.replace(made, tag=[tags] if isinstance(tags, str) else tags)


@asynccontextmanager
async def library(folder: Path) -> AsyncIterator[Library]:
    """An empty index in `folder`."""
    made = Library(folder / "library.sqlite")
    await made.database.open()
    try:
        yield made
    finally:
        await made.database.close()
