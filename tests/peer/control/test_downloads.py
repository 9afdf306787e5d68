"""What the queue is told of the network."""

from common.wire.files import Source
from peer.control.downloads import _Network


class Index:
    """A super-peer that lists these sources."""

    peer_id = "me"

    def __init__(self, *sources: Source) -> None:
        self.listed = list(sources)

    async def sources(self, file_id: str, region: str) -> list[Source]:
        return self.listed


def source(peer_id: str, *, complete: bool) -> Source:
    return Source(peer_id, "http://127.0.0.1:1/", complete, None, 50, "", 0.0, True, "")


async def test_a_peer_is_no_source_of_what_it_fetches_itself() -> None:
    others = [source("one", complete=True), source("two", complete=False)]
    network = _Network(Index(*others, source("me", complete=False)), "")  # type: ignore[arg-type]
    assert await network.sources("ab" * 32) == others


async def test_what_a_peer_shares_itself_may_be_copied_from_it() -> None:
    own = [source("me", complete=True)]
    assert await _Network(Index(*own), "").sources("ab" * 32) == own  # type: ignore[arg-type]
