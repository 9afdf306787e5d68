"""The peers' rows."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from superpeer.database.connections import Database
from superpeer.database.tables import facts, peers
from superpeer.peers.presence import Seat


class Index(Protocol):
    """What is said of files, kept true in the transaction that changes their peers."""

    async def recount(self, connection: AsyncConnection, peer_ns: Sequence[int]) -> None:
        """These peers came or went: counts of sources online change."""

    async def withdraw(self, connection: AsyncConnection, peer_n: int) -> None:
        """All that this peer announced goes."""


class PeerStore:
    """Reads and writes of the table `peers`."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    async def super_peer_id(self) -> str:
        """The random id of this super-peer, made at its first start."""
        async with self._database.write() as connection:
            found = await connection.scalar(sa.select(facts.c.value).where(facts.c.name == "super_peer_id"))
            if found is None:
                found = secrets.token_hex(16)
                await connection.execute(facts.insert().values(name="super_peer_id", value=found))
        return str(found)

    async def load(self, monotonic: float) -> list[Seat]:
        """Every peer that is not forgotten; who was online at the last write gets the benefit of the doubt."""
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(peers))).mappings().all()
        return [_seat(row, monotonic) for row in rows]

    async def save(self, values: dict[str, Any], monotonic: float) -> Seat:
        """Writes a registration, new or repeated, and returns its seat."""
        this = sa.select(peers).where(peers.c.id == values["id"])
        async with self._database.write() as connection:
            before = (await connection.execute(this)).mappings().one_or_none()
            if before is None:
                await connection.execute(peers.insert().values(**_NEW, registered_at=values["last_seen"], **values))
            else:
                await connection.execute(peers.update().where(peers.c.n == before["n"]).values(**values))
                if not before["online"]:
                    await self._index.recount(connection, [before["n"]])
            row = (await connection.execute(this)).mappings().one()
        return _seat(row, monotonic)

    async def set_online(self, ns: Sequence[int], online: bool) -> None:
        """Marks these peers as present or gone."""
        async with self._database.write() as connection:
            await connection.execute(peers.update().where(peers.c.n.in_(ns)).values(online=online))
            await self._index.recount(connection, ns)

    async def delete(self, n: int) -> None:
        """Forgets a peer and all that it announced."""
        async with self._database.write() as connection:
            await self._index.withdraw(connection, n)
            await connection.execute(peers.delete().where(peers.c.n == n))

    async def write_behind(self, seats: Iterable[Seat]) -> None:
        """Notes when these peers were last heard of, and their sequence."""
        rows = [{"row": seat.n, "last_seen": seat.last_seen, "sequence": seat.sequence} for seat in seats]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(peers.update().where(peers.c.n == sa.bindparam("row")), rows)

    async def rows(self, online: bool | None, region: str | None, after: int, limit: int) -> list[Any]:
        """Peers in the order of their registration, from after row number `after`."""
        query = sa.select(peers).where(peers.c.n > after, *_filters(online, region)).order_by(peers.c.n).limit(limit)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).mappings().all())

    async def latest(self, limit: int) -> list[Any]:
        """Those online first, then those seen last."""
        query = sa.select(peers).order_by(sa.desc(peers.c.online), sa.desc(peers.c.last_seen)).limit(limit)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).mappings().all())

    async def count(self, online: bool | None, region: str | None) -> int:
        """How many there are."""
        query = sa.select(sa.func.count()).select_from(peers).where(*_filters(online, region))
        async with self._database.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def row(self, peer_id: str) -> Any | None:
        """One peer's row."""
        async with self._database.read() as connection:
            return (await connection.execute(sa.select(peers).where(peers.c.id == peer_id))).mappings().one_or_none()


_NEW = {"catalogue_id": None, "catalogue_version": 0, "catalogue_round": 0, "shared_files": 0, "shared_bytes": 0}


def _filters(online: bool | None, region: str | None) -> list[sa.ColumnElement[bool]]:
    filters: list[sa.ColumnElement[bool]] = []
    if online is not None:
        filters.append(peers.c.online == online)
    if region is not None:
        filters.append(peers.c.region == region)
    return filters


def _seat(row: Any, monotonic: float) -> Seat:
    return Seat(
        n=row["n"],
        id=row["id"],
        name=row["name"],
        address=row["address"],
        port=row["port"],
        registered_from=row["registered_from"],
        region=row["region"],
        keyed=row["public_key"] is not None,
        token_digest=row["token_digest"],
        sequence=row["sequence"],
        catalogue_id=row["catalogue_id"],
        catalogue_version=row["catalogue_version"],
        online=row["online"],
        last_seen=row["last_seen"],
        heard=monotonic,
    )
