"""The rules of registration over a real database, without HTTP: what happens at once, what is written and survives."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from common import errors
from common.http.addresses import Profile, networks
from common.runtime.clock import ManualClock
from common.wire.files import CatalogueDelta, Entry
from common.wire.peers import HeartbeatRequest, RegisterRequest
from superpeer.database import connections
from superpeer.database.connections import Database
from superpeer.files.index import Index
from superpeer.peers.presence import Presence, Seat
from superpeer.peers.registry import Admission, Registry
from superpeer.peers.store import PeerStore
from tests.support.peers import content_id

HERE = "127.0.0.1"
INTERVAL = 30.0


class Desk:
    """A registry and what it stands on. `told` is what it said happened."""

    def __init__(self, path: Path, clock: ManualClock, **admission: Any) -> None:
        self.clock = clock
        self.told: list[tuple[str, str]] = []
        self.database = Database(path)
        self.index = Index(self.database, 100, 100)
        self.store = PeerStore(self.database, self.index)
        self.presence = Presence(INTERVAL)
        rules: dict[str, Any] = {
            "hash_algorithm": "sha256",
            "require_identity": False,
            "max_peers": 100,
            "max_peers_per_address": 100,
            "profile": Profile.LOOPBACK,
            "advertise_allow": (),
        }
        self.registry = Registry(Admission(**(rules | admission)), self.presence, self.store, clock, self._on_change)

    async def _on_change(self, kind: str, seat: Seat) -> None:
        self.told.append((kind, seat.id))

    async def register(self, peer_id: str | None = None, port: int = 9001, **more: Any) -> Any:
        return await self.registry.register(RegisterRequest(port=port, id=peer_id, **more), HERE, None)

    async def announce(self, peer_id: str, *paths: str) -> None:
        seat = self.presence.find(peer_id)
        assert seat is not None
        add = [Entry(path, content_id(path), 1) for path in paths]
        await self.index.apply(seat.n, CatalogueDelta("c", 0, add), self.clock.now())

    def seat(self, peer_id: str) -> Seat:
        found = self.presence.find(peer_id)
        assert found is not None
        return found


@asynccontextmanager
async def opened(path: Path, clock: ManualClock | None = None, **admission: Any) -> AsyncIterator[Desk]:
    desk = Desk(path, clock or ManualClock(), **admission)
    await desk.database.open()
    await desk.registry.open()
    try:
        yield desk
    finally:
        await desk.database.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path / "x.sqlite") as made:
        yield made


def rows(desk: Desk, query: str) -> list[Any]:
    connection = sqlite3.connect(desk.database.path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def outcome(work: Awaitable[Any]) -> str:
    try:
        await work
    except errors.Refusal as refusal:
        return refusal.code
    return "done"


async def test_the_same_id_many_times_at_once_is_one_peer(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.register("p") for _ in range(20)))
    assert {answer.peer_id for answer in answers} == {"p"}
    assert rows(desk, "SELECT id FROM peers") == [("p",)]
    assert desk.told.count(("peer_registered", "p")) == 1


async def test_no_id_many_times_at_once_is_one_peer(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.register() for _ in range(20)))
    assert len({answer.peer_id for answer in answers}) == 1
    assert len(rows(desk, "SELECT id FROM peers")) == 1


async def test_many_at_once_do_not_get_beyond_the_limit(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.sqlite", max_peers=5) as desk:
        outcomes = await asyncio.gather(*(outcome(desk.register(f"p{n}", 9000 + n)) for n in range(12)))
        assert sorted(outcomes) == ["done"] * 5 + ["network_full"] * 7
        assert await outcome(desk.register("p0", 9000)) == "done"


async def test_a_caller_who_hangs_up_leaves_memory_and_database_alike(desk: Desk) -> None:
    """Cancelled at each moment of its work, a registration can always be repeated."""
    for steps in range(60):
        task = asyncio.create_task(desk.register(f"p{steps}", 9000 + steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await desk.register(f"p{steps}", 9000 + steps)).peer_id == f"p{steps}"
    assert len(rows(desk, "SELECT id FROM peers")) == len(desk.presence) == 60


async def test_a_heartbeat_changes_nothing_on_disk(desk: Desk) -> None:
    await desk.register("p")
    await desk.announce("p", "a.txt")
    watcher = sqlite3.connect(desk.database.path)
    before = watcher.execute("PRAGMA data_version").fetchone()
    wal = Path(f"{desk.database.path}-wal")
    size, changed = wal.stat().st_size, wal.stat().st_mtime_ns
    for sequence in range(100):
        desk.clock.advance(1)
        await desk.registry.heartbeat(desk.seat("p"), HeartbeatRequest(sequence))
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    assert (wal.stat().st_size, wal.stat().st_mtime_ns) == (size, changed)
    await desk.registry.write_behind()
    assert watcher.execute("PRAGMA data_version").fetchone() != before
    watcher.close()
    assert rows(desk, "SELECT last_seen, sequence FROM peers") == [(desk.clock.now(), 99)]


async def test_nothing_heard_is_nothing_to_write(desk: Desk) -> None:
    await desk.register("p")
    await desk.registry.write_behind()
    watcher = sqlite3.connect(desk.database.path)
    before = watcher.execute("PRAGMA data_version").fetchone()
    await desk.registry.write_behind()
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    watcher.close()


async def test_what_a_busy_database_does_not_take_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the database: refusals, and all is well again once it lets go."""
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.01)
    async with opened(tmp_path / "x.sqlite") as desk:
        await desk.register("p")
        await desk.register("q", 9002)
        desk.clock.advance(10)
        await desk.registry.heartbeat(desk.seat("p"), HeartbeatRequest(7))
        await desk.registry.leave(desk.seat("q"))
        other = sqlite3.connect(desk.database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await outcome(desk.register("r", 9003)) == "database_unavailable"
        assert await outcome(desk.registry.write_behind()) == "database_unavailable"
        assert await outcome(desk.registry.heartbeat(desk.seat("q"), None)) == "database_unavailable"
        desk.clock.advance(3 * INTERVAL + 1)
        assert await outcome(desk.registry.expire()) == "database_unavailable"
        desk.clock.advance(100_000)
        assert await outcome(desk.registry.forget(86_400.0)) == "database_unavailable"
        other.execute("ROLLBACK")
        other.close()
        await desk.registry.write_behind()
        assert rows(desk, "SELECT sequence FROM peers WHERE id = 'p'") == [(7,)]
        await desk.registry.expire()
        assert rows(desk, "SELECT online FROM peers WHERE id = 'p'") == [(0,)]
        await desk.registry.heartbeat(desk.seat("q"), None)
        assert rows(desk, "SELECT online FROM peers WHERE id = 'q'") == [(1,)]
        await desk.registry.forget(86_400.0)
        assert rows(desk, "SELECT id FROM peers") == [("q",)]
        assert await outcome(desk.register("r", 9003)) == "done"


async def test_who_was_online_stays_so_for_three_intervals_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path / "x.sqlite", clock) as desk:
        await desk.register("here", 9001)
        await desk.register("left", 9002)
        await desk.registry.leave(desk.seat("left"))
        await desk.registry.write_behind()
    clock.advance(100_000)
    async with opened(tmp_path / "x.sqlite", clock) as desk:
        clock.advance(3 * INTERVAL)
        await desk.registry.expire()
        assert desk.seat("here").online
        assert not desk.seat("left").online
        clock.advance(1)
        await desk.registry.expire()
        assert not desk.seat("here").online
        assert desk.told == [("peer_offline", "here")]


async def test_a_heartbeat_after_a_restart_needs_no_registration(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.sqlite") as desk:
        token = (await desk.register("p")).token
        await desk.announce("p", "a.txt")
        await desk.registry.heartbeat(desk.seat("p"), HeartbeatRequest(5))
        await desk.registry.write_behind()
    async with opened(tmp_path / "x.sqlite") as desk:
        seat = desk.registry.recognise("p", token, "198.51.100.1")
        assert (await desk.registry.heartbeat(seat, HeartbeatRequest(6))).catalogue_version == 1
        with pytest.raises(errors.Conflict):
            await desk.registry.heartbeat(seat, HeartbeatRequest(5))


async def test_the_super_peers_id_is_made_once(tmp_path: Path) -> None:
    ids = set()
    for _ in range(2):
        async with opened(tmp_path / "x.sqlite") as desk:
            ids.add(await desk.store.super_peer_id())
    async with opened(tmp_path / "y.sqlite") as desk:
        other = await desk.store.super_peer_id()
    assert len(ids) == 1
    assert other not in ids


async def test_who_is_forgotten_goes_with_all_that_it_announced(desk: Desk) -> None:
    await desk.register("p")
    await desk.announce("p", "a.txt", "b.txt")
    await desk.registry.leave(desk.seat("p"))
    desk.clock.advance(86_400)
    await desk.registry.forget(86_400.0)
    assert desk.presence.find("p") is not None
    desk.clock.advance(1)
    await desk.registry.forget(86_400.0)
    assert desk.presence.find("p") is None
    for table in ("peers", "entries", "files", "listings"):
        assert rows(desk, f"SELECT * FROM {table}") == [], table
    assert desk.told[-1] == ("peer_forgotten", "p")


async def test_a_peer_may_come_back_while_it_is_being_forgotten(desk: Desk) -> None:
    await desk.register("p")
    await desk.registry.leave(desk.seat("p"))
    desk.clock.advance(100_000)
    await asyncio.gather(desk.registry.forget(86_400.0), desk.register("p"))
    assert desk.seat("p").online
    assert rows(desk, "SELECT id, online FROM peers") == [("p", 1)]
    assert (await desk.registry.heartbeat(desk.seat("p"), None)).catalogue_version == 0


async def test_the_number_of_a_forgotten_peer_is_not_given_again(desk: Desk) -> None:
    await desk.register("p")
    number = desk.seat("p").n
    await desk.registry.leave(desk.seat("p"))
    desk.clock.advance(100_000)
    await desk.registry.forget(1.0)
    await desk.register("q")
    assert desk.seat("q").n > number


async def test_an_advertised_address_is_not_where_a_program_is_known_from(tmp_path: Path) -> None:
    allow = networks(["198.51.100.7"])
    async with opened(tmp_path / "x.sqlite", advertise_allow=allow) as desk:
        told = await desk.register("p", address="198.51.100.7")
        assert told.address == "198.51.100.7"
        assert (await desk.register("p", address="198.51.100.7")).peer_id == "p"
        assert desk.registry.recognise("p", None, HERE).id == "p"
        with pytest.raises(errors.Unauthenticated):
            desk.registry.recognise("p", None, "198.51.100.7")
        assert (await desk.register(None, address="198.51.100.7")).peer_id == "p"


async def test_a_keyless_peer_without_an_id_beside_one_with_a_key_is_one_peer(desk: Desk) -> None:
    """At one address and port: the keyed one is not mistaken for it, nor is a new one made each time."""
    desk.presence.seat(Seat(99, "keyed", "", HERE, 9001, HERE, "", True, b"", -1, None, 0, True, desk.clock.now(), 0.0))
    first = (await desk.register()).peer_id
    assert first != "keyed"
    assert (await desk.register()).peer_id == first


async def test_coming_and_going_is_told_in_order(desk: Desk) -> None:
    await desk.register("p")
    await desk.register("p")
    await desk.registry.leave(desk.seat("p"))
    await desk.registry.leave(desk.seat("p"))
    await desk.registry.heartbeat(desk.seat("p"), None)
    assert [kind for kind, _ in desk.told] == ["peer_registered", "peer_updated", "peer_offline", "peer_online"]
