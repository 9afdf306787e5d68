"""The peers' rows."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from superpeer.database.connections import Database
from superpeer.database.tables import facts, peers
from superpeer.peers.presence import Seat


class Index(Protocol):
    """What is said of files, kept true in the transaction that changes their peers."""

    def recount(self, connection: sa.Connection, peer_ns: Sequence[int]) -> None:
        """These peers came or went: counts of sources online change."""

    def withdraw(self, connection: sa.Connection, peer_n: int) -> None:
        """All that this peer announced goes."""


class PeerStore:
    """Reads and writes of the table `peers`."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    async def super_peer_id(self) -> str:
        """The random id of this super-peer, made at its first start."""
        return await self._database.write(_super_peer_id)

    async def load(self, monotonic: float) -> list[Seat]:
        """Every peer that is not forgotten; who was online at the last write gets the benefit of the doubt."""
        return [_seat(row, monotonic) for row in await self._database.read(_rows, sa.select(peers))]

    async def save(self, values: dict[str, Any], monotonic: float) -> Seat:
        """Writes a registration, new or repeated, and returns its seat."""
        return _seat(await self._database.write(self._save, values), monotonic)

    def _save(self, connection: sa.Connection, values: dict[str, Any]) -> Any:
        this = sa.select(peers).where(peers.c.id == values["id"])
        before = connection.execute(this).mappings().one_or_none()
        if before is None:
            connection.execute(peers.insert().values(**_NEW, registered_at=values["last_seen"], **values))
        else:
            connection.execute(peers.update().where(peers.c.n == before["n"]).values(**values))
            if not before["online"]:
                self._index.recount(connection, [before["n"]])
        return connection.execute(this).mappings().one()

    async def set_online(self, ns: Sequence[int], online: bool) -> None:
        """Marks these peers as present or gone."""
        await self._database.write(self._set_online, ns, online)

    def _set_online(self, connection: sa.Connection, ns: Sequence[int], online: bool) -> None:
        connection.execute(peers.update().where(peers.c.n.in_(ns)).values(online=online))
        self._index.recount(connection, ns)

    async def delete(self, n: int) -> None:
        """Forgets a peer and all that it announced."""
        await self._database.write(self._delete, n)

    def _delete(self, connection: sa.Connection, n: int) -> None:
        self._index.withdraw(connection, n)
        connection.execute(peers.delete().where(peers.c.n == n))

    async def write_behind(self, seats: Iterable[Seat]) -> None:
        """Notes when these peers were last heard of, and their sequence."""
        rows = [{"row": seat.n, "last_seen": seat.last_seen, "sequence": seat.sequence} for seat in seats]
        if rows:
            change = peers.update().where(peers.c.n == sa.bindparam("row"))
            await self._database.write(lambda connection: connection.execute(change, rows))

    async def rows(self, online: bool | None, region: str | None, after: int, limit: int) -> list[Any]:
        """Peers in the order of their registration, from after row number `after`."""
        query = sa.select(peers).where(peers.c.n > after, *_filters(online, region)).order_by(peers.c.n).limit(limit)
        return await self._database.read(_rows, query)

    async def latest(self, limit: int) -> list[Any]:
        """Those online first, then those seen last."""
        query = sa.select(peers).order_by(sa.desc(peers.c.online), sa.desc(peers.c.last_seen)).limit(limit)
        return await self._database.read(_rows, query)

    async def count(self, online: bool | None, region: str | None) -> int:
        """How many there are."""
        query = sa.select(sa.func.count()).select_from(peers).where(*_filters(online, region))
        return await self._database.read(lambda connection: connection.scalar(query)) or 0

    async def row(self, peer_id: str) -> Any | None:
        """One peer's row."""
        found = await self._database.read(_rows, sa.select(peers).where(peers.c.id == peer_id))
        return found[0] if found else None


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[Any]:
    return list(connection.execute(query).mappings().all())


def _super_peer_id(connection: sa.Connection) -> str:
    found = connection.scalar(sa.select(facts.c.value).where(facts.c.name == "super_peer_id"))
    if found is None:
        found = secrets.token_hex(16)
        connection.execute(facts.insert().values(name="super_peer_id", value=found))
    return str(found)


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
