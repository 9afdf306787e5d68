"""A session with all that it stands on: a catalogue in memory, a clock that tests move, pauses that take no time."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common.http.addresses import Profile
from common.http.dialling import Policy
from common.http.outgoing import Outgoing
from common.runtime.clock import ManualClock
from common.wire.files import Entry
from common.wire.peers import Load
from peer.uplink.identity import Identity, load_identity
from peer.uplink.session import About, Session
from peer.uplink.super_peer import SuperPeer
from tests.peer.uplink.scripted import ScriptedSuperPeer
from tests.support.waiting import until

PORT = 9001
SPINNING = 60  # calls without a pause between them, far more than any honest way takes


@dataclass
class Batch:
    """Changes, oldest first."""

    add: list[Entry] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    more: bool = False


class Shelf:
    """A catalogue: what is offered, and what the super-peer is believed to have (paths and ids)."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.catalogue_id = "c1"
        self.announced_version = 0
        self.restarting = True
        self.offered: dict[str, str] = {}
        self.announced: dict[str, str] = {}

    def offer(self, path: str, content: str = "") -> None:
        self.offered[path] = id_of(path + content)
        self.changed.set()

    def withdraw(self, path: str) -> None:
        del self.offered[path]
        self.changed.set()

    async def pending(self, limit: int) -> Batch:
        gone = [path for path in self.announced if path not in self.offered]
        new = [path for path, found in self.offered.items() if self.announced.get(path) != found]
        some = (gone + new)[:limit]
        return Batch(
            [Entry(path, self.offered[path], 1) for path in some if path in self.offered],
            [path for path in some if path not in self.offered],
            len(gone) + len(new) > limit,
        )

    async def mark_announced(self, sent: Batch, version: int, *, complete: bool) -> None:
        self.announced.update({entry.path: entry.id for entry in sent.add})
        for path in sent.remove:
            del self.announced[path]
        self.announced_version, self.restarting = version, self.restarting and not complete

    async def restart_catalogue(self) -> None:
        self.announced, self.announced_version, self.restarting = {}, 0, True
        self.changed.set()


class Pauses:
    """How the session sleeps: the clock goes on by so much, and no time passes. After `limit` pauses it sleeps on."""

    def __init__(self, clock: ManualClock) -> None:
        self.lengths: list[float] = []
        self.limit = 1_000_000
        self.meanwhile: list[Callable[[], None]] = []
        self._clock = clock
        self._awake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.lengths.append(seconds)
        self._clock.advance(seconds)
        while self.meanwhile:
            self.meanwhile.pop()()
        if len(self.lengths) >= self.limit:
            await self._awake.wait()
        await asyncio.sleep(0)

    def wake(self) -> None:
        self.limit = 1_000_000
        self._awake.set()


class Stage:
    """One session and its super-peer. What a test waits for fails at once when the session ended, or spins."""

    def __init__(self, folder: Path, super_peer: ScriptedSuperPeer, address: str = "") -> None:
        self.server = super_peer
        self.clock = ManualClock()
        self.shelf = Shelf()
        self.pauses = Pauses(self.clock)
        self.load = Load(2, 16, 2_500_000)
        self.identity: Identity = load_identity(folder)
        self.outgoing = Outgoing(Policy(Profile.LOOPBACK))
        out = SuperPeer(address or super_peer.address, self.identity, "sha256")
        out.through(self.outgoing)
        self.session = Session(
            out,
            self.shelf,
            About("desk", "local", "1.0"),
            self.clock,
            lambda: self.load,
            lambda: len(self.shelf.offered),
            self.pauses.sleep,
        )
        self.session.port = PORT
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self.session.run())

    async def close(self) -> None:
        await self.stop()
        await self.outgoing.close()

    async def stop(self) -> None:
        """Ends the session's job; it says nothing by that."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def until(self, condition: Callable[[], object]) -> None:
        def happened() -> object:
            assert self._running is not None
            if self._running.done():
                self._running.result()
                raise AssertionError("the session ended")
            assert len(self.server.said) < SPINNING * (len(self.pauses.lengths) + 1), "the session spins"
            return condition()

        await until(happened)

    async def registered(self) -> None:
        """Registers, and announces what is offered."""
        self.start()
        await self.announced()

    async def announced(self) -> None:
        """All that is offered is held, and the session knows it."""
        shelf, server = self.shelf, self.server
        await self.until(
            lambda: (
                server.held == shelf.announced == shelf.offered
                and (server.catalogue_id, server.version) == (shelf.catalogue_id, shelf.announced_version)
                and not shelf.restarting
            )
        )

    async def paused(self, times: int) -> list[float]:
        """The lengths of so many more pauses, in the last of which it stays."""
        begun = len(self.pauses.lengths)
        self.pauses.limit = begun + times
        await self.until(lambda: len(self.pauses.lengths) >= begun + times)
        return self.pauses.lengths[begun:]

    def pass_interval(self, seconds: float = 30.0) -> None:
        """Time passes, and the session sees that it did."""
        self.clock.advance(seconds)
        self.shelf.changed.set()

    async def beat(self) -> None:
        """One heartbeat more, whatever its answer."""
        before = self.server.count("heartbeat")
        self.pass_interval()
        await self.until(lambda: self.server.count("heartbeat") > before)


def id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
