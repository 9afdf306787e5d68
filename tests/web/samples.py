"""An index and a library with made-up contents behind the ports of the real ones, and the pages on top of them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from aiohttp import web

from common.errors import NotFound
from common.wire.files import FileInfo, LocalSearchAnswer, SearchAnswer, SharedFile, Source
from common.wire.peer_daemon import DownloadStats, PeerInfo, PublicConfig, UploadStats
from common.wire.peers import NetworkStats, Peer
from peer.control import pages as peer_pages
from superpeer.dashboard import pages as super_peer_pages
from web.render import setup_pages

NOW = datetime(2025, 11, 21, 6, 3, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>.png',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "invoice\u202egpj.exe",
    "line\nbreak\x1b[31m\x00\ud800.txt",
    "</title><script>alert(1)</script>",
    "&lt;b&gt;.txt",
    "مرحبا بالعالم.pdf",
    "שלום.mp3",
    "👨\u200d👩\u200d👧 family.jpg",
    "a" * 250 + ".bin",
    "$(reboot) `id` ; rm -rf ~ #.sh",
)
KEYED_ID = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2q"


def file_info(name: str, **changes: Any) -> FileInfo:
    """A FileInfo with this name; the rest as in `changes` or made up."""
    digest = sha256(name.encode("utf-8", "replace")).hexdigest()
    values: dict[str, Any] = {
        "id": digest,
        "filename": name,
        "size": 1_482_113,
        "hash": digest,
        "category": "document",
        "tags": [],
        "mime": "application/pdf",
        "owner": KEYED_ID,
        "peer_address": "127.0.0.1:9001",
        "upload_time": NOW - timedelta(minutes=5),
        "modified": NOW - timedelta(days=90),
        "downloads": 3,
        "rating": 0.0,
        "sources": 2,
        "names": [],
        "manifest": digest,
    }
    return FileInfo(**(values | changes))


def peer(name: str, **changes: Any) -> Peer:
    """A Peer with this name."""
    values: dict[str, Any] = {
        "id": KEYED_ID,
        "name": name,
        "address": "192.168.1.20",
        "port": 9001,
        "last_seen": NOW,
        "is_online": True,
        "reputation": 50,
        "shared_files": 812,
        "shared_bytes": 5_300_000_000,
        "region": "local",
        "verified": True,
        "version": "0.1.0",
    }
    return Peer(**(values | changes))


def source(peer_id: str = KEYED_ID, **changes: Any) -> Source:
    """A Source at this peer."""
    values: dict[str, Any] = {
        "peer_id": peer_id,
        "url": "http://192.168.1.20:9001/api/v1/download/00",
        "complete": True,
        "manifest": None,
        "reputation": 50,
        "region": "local",
        "load": 0.25,
        "direct": True,
        "why": "same region, lightly loaded",
    }
    return Source(**(values | changes))


def shared_file(name: str, **changes: Any) -> SharedFile:
    """A SharedFile with this name."""
    digest = sha256(name.encode("utf-8", "replace")).hexdigest()
    values: dict[str, Any] = {
        "id": digest,
        "filename": name,
        "size": 52_113,
        "hash": digest,
        "category": "document",
        "tags": [],
        "shared_at": NOW,
        "downloads": 0,
        "is_available": True,
    }
    return SharedFile(**(values | changes))


def peer_info(**changes: Any) -> PeerInfo:
    """A PeerInfo of a registered peer."""
    values: dict[str, Any] = {
        "id": KEYED_ID,
        "name": "Study",
        "address": "192.168.1.20",
        "port": 9001,
        "is_registered": True,
        "shared_files": 3,
        "last_heartbeat": NOW,
        "download_stats": DownloadStats(4, 1_200_000_000),
        "upload_stats": UploadStats(31, 48_000_000_000, 1),
        "config": PublicConfig(9001, "127.0.0.1:8080", 100_000_000, 30.0),
    }
    return PeerInfo(**(values | changes))


class SampleIndex:
    """Answers with what it was given; remembers the parameters of the last search."""

    def __init__(self, files: list[FileInfo] = (), peers: list[Peer] = (), **changes: Any) -> None:  # type: ignore[assignment]
        self.known = list(files)
        self.of_network = list(peers)
        self.of_file: list[Source] = changes.pop("sources", [])
        self.paging: dict[str, Any] = changes.pop("paging", {})
        self.hash_algorithm: str = changes.pop("hash_algorithm", "sha256")
        self.asked: Mapping[str, str] = {}

    async def stats(self) -> NetworkStats:
        online = sum(peer.is_online for peer in self.of_network)
        health = 100 * online / max(1, len(self.of_network))
        total = sum(file.size for file in self.known)
        return NetworkStats(len(self.of_network), online, len(self.known), total, 7, health, NOW, self.hash_algorithm)

    async def peers(self, limit: int) -> list[Peer]:
        return self.of_network[:limit]

    async def newest(self, limit: int) -> list[FileInfo]:
        return self.known[:limit]

    async def categories(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for file in self.known:
            counts[file.category] = counts.get(file.category, 0) + 1
        return counts

    async def search(self, parameters: Mapping[str, str]) -> SearchAnswer:
        self.asked = parameters
        page = self.known[:50]
        values = {"total": len(self.known), "total_exact": True, "next_cursor": None} | self.paging
        return SearchAnswer(results=page, count=len(page), query=parameters.get("q", ""), **values)

    async def file(self, file_id: str) -> FileInfo:
        for file in self.known:
            if file.id == file_id:
                return file
        raise NotFound("file_not_found", f"No file `{file_id}` is known here. Search for its name instead.")

    async def sources(self, file_id: str) -> list[Source]:
        return self.of_file

    def names(self, peer_ids: Iterable[str]) -> dict[str, str]:
        wanted = set(peer_ids)
        return {peer.id: peer.name for peer in self.of_network if peer.id in wanted}


class SampleLibrary:
    """Shares what it was given."""

    def __init__(self, files: list[SharedFile] = ()) -> None:  # type: ignore[assignment]
        self.files = list(files)

    async def search(self, q: str, category: str, *, offset: int, limit: int) -> LocalSearchAnswer:
        found = [f for f in self.files if q in f.filename and category in ("", f.category)]
        return LocalSearchAnswer(found[offset : offset + limit], len(found), q)


def super_peer_app(index: SampleIndex, document: dict[str, Any] | None = None) -> web.Application:
    """The super-peer's pages over `index`."""
    app = web.Application()
    setup_pages(app, super_peer_pages.MENU)
    app.add_routes(super_peer_pages.Pages(index, lambda: document or {}).routes())
    return app


def peer_app(
    library: SampleLibrary, info: PeerInfo | None = None, document: dict[str, Any] | None = None
) -> web.Application:
    """The peer's pages over `library`."""
    app = web.Application()
    setup_pages(app, peer_pages.MENU)
    app.add_routes(peer_pages.Pages(lambda: info or peer_info(), library, lambda: document or {}).routes())
    return app
