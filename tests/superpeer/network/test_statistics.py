"""The network in numbers: exact, and told at the right moments."""

import json

from common.http.hub import Hub, Listener
from common.runtime.clock import ManualClock
from superpeer.network.news import News
from superpeer.network.statistics import AT_LEAST_EVERY, Statistics
from tests.support.peers import KeyedPeer, Peer, content_id, entry
from tests.support.superpeers import Site


class Numbers:
    """Statistics over numbers that the test sets."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.hub = Hub(self.clock)
        self.news = News(self.hub, self.clock)
        self.now = (0, 0, 0, 0, 0)
        self.statistics = Statistics(self._count, "sha256", self.news, self.clock)

    async def _count(self) -> tuple[int, int, int, int, int]:
        return self.now


def heard(listener: Listener) -> list[dict[str, object]]:
    found = []
    while not listener.queue.empty():
        found.append(json.loads(listener.queue.get_nowait()))
    return found


async def test_health_is_the_share_of_peers_online() -> None:
    numbers = Numbers()
    for counts, health in (((0, 0), 0.0), ((3, 0), 0.0), ((3, 1), 33.3), ((2, 2), 100.0)):
        numbers.now = (*counts, 5, 6, 7)
        read = await numbers.statistics.read()
        assert read.network_health == health
        assert (read.total_peers, read.online_peers) == counts
        assert (read.total_files, read.total_bytes, read.total_downloads) == (5, 6, 7)
        assert read.last_updated.timestamp() == numbers.clock.now()


async def test_they_are_told_when_something_changed_and_every_ten_seconds() -> None:
    numbers = Numbers()
    await numbers.statistics.tick()
    with numbers.hub.listening() as listener:
        await numbers.statistics.tick()
        assert heard(listener) == []
        numbers.clock.advance(1)
        numbers.news.changed()
        await numbers.statistics.tick()
        (told,) = heard(listener)
        assert told["type"] == "stats_update"
        numbers.clock.advance(AT_LEAST_EVERY - 0.1)
        await numbers.statistics.tick()
        assert heard(listener) == []
        numbers.clock.advance(0.1)
        await numbers.statistics.tick()
        assert len(heard(listener)) == 1


async def test_they_are_right_after_every_change(site: Site) -> None:
    async def read() -> tuple[int, ...]:
        stats = await site.get("/api/v1/stats")
        assert set(stats) == {
            "total_peers",
            "online_peers",
            "total_files",
            "total_bytes",
            "total_downloads",
            "network_health",
            "last_updated",
            "hash_algorithm",
        }
        return tuple(stats[key] for key in ("total_peers", "online_peers", "total_files", "total_bytes"))

    assert await read() == (0, 0, 0, 0)
    peer, program = KeyedPeer(site), Peer(site, "p", 9002)
    await peer.register()
    await program.register()
    await peer.announce(entry("a", "same"), entry("b", "same"), entry("c", "other"))
    await program.announce(entry("d", "same"))
    assert await read() == (2, 2, 2, 9)
    await program.leave()
    assert await read() == (2, 1, 2, 9)
    await peer.announce(remove=["c"])
    assert await read() == (2, 1, 1, 4)
    assert (await site.get(f"/api/v1/files/{content_id('same')}"))["sources"] == 2
