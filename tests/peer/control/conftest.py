"""A super-peer, a peer and sources that speak the contract, and the command `peer` run against them as a process."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from common.wire.cache import Cache
from common.wire.files import DamagedFile, Done, FileInfo, SearchAnswer, Share, ShareAnswer, SharedFile, Source
from common.wire.peer_daemon import DownloadStats, OwnerCode, PeerInfo, PublicConfig, UploadStats
from tests.support.sources import Content, Handler, honest, serve, source

ROOT = Path(__file__).parents[3]
TOKEN = "the-owner-s-token-of-this-test"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def json_response(body: Any, **keywords: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", **keywords)


def problem(status: int, code: str, detail: str) -> web.Response:
    document = {"type": "about:blank", "title": "-", "status": status, "detail": detail, "code": code}
    return web.json_response(document, status=status, content_type="application/problem+json")


@dataclass
class FakeSuperPeer:
    """Knows files and their sources. `requests` holds the path and query of each request."""

    stack: AsyncExitStack
    address: str = ""
    files: dict[str, FileInfo] = field(default_factory=dict)
    sources: dict[str, list[Source]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    async def announce(self, content: Content, *handlers: Handler, names: list[str] | None = None) -> None:
        """Lists the content with a source for each handler."""
        held = [
            source(f"http://{await serve(self.stack, handler)}/api/v1/download/{content.id}", f"peer{number}")
            for number, handler in enumerate(handlers)
        ]
        self.sources[content.id] = held
        self.files[content.id] = FileInfo(
            id=content.id,
            filename=content.name,
            size=len(content.data),
            hash=content.id,
            category="other",
            tags=["one", "two"],
            mime="application/octet-stream",
            owner="peer0",
            peer_address="127.0.0.1:9001",
            upload_time=WHEN,
            modified=None,
            downloads=0,
            rating=0.0,
            sources=len(held),
            names=names or [],
            manifest=None,
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(str(request.rel_url))
        match request.path.split("/")[3:]:
            case ["files", "search"]:
                return json_response(self.search(request.query["q"], request.query.get("online", "true") == "true"))
            case ["files", file_id] if file_id in self.files:
                return json_response(self.files[file_id])
            case ["files", file_id, "sources"] if file_id in self.files:
                return json_response(self.sources[file_id])
        return problem(404, "file_not_found", "Nobody announced this file.")

    def search(self, words: str, online: bool) -> SearchAnswer:
        found = [
            info
            for info in self.files.values()
            if (self.sources[info.id] or not online)
            and all(word in " ".join([info.filename, *info.names]).lower() for word in words.lower().split())
        ]
        return SearchAnswer(found, len(found), len(found), True, words, None)


@dataclass
class FakePeer:
    """An owner's peer. `asked` holds (method, path and query, body) of what its token allowed."""

    super_peer: str
    files: list[SharedFile] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    page: int = 1000
    next_host: str = ""
    address: str = ""
    trouble: str = ""
    shares: list[Share] = field(default_factory=list)
    damaged: list[DamagedFile] = field(default_factory=list)
    cache: Cache = field(default_factory=lambda: Cache([], 0, 0, 0))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path.split("/")[3:]:
            case "GET", ["info"]:
                return json_response(self.info())
            case "GET", ["files"]:
                return self.listed(int(request.query.get("cursor", "0")))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "token_invalid", "The token is not the owner's.")
        self.asked.append((request.method, str(request.rel_url), json.loads(await request.read() or b"null")))
        match request.method, request.path.split("/")[3:]:
            case "GET", ["shares"]:
                return json_response(self.shares)
            case "GET", ["cache"]:
                return json_response(self.cache)
            case "DELETE", ["cache", *_]:
                return json_response(Done("Done as asked."))
            case "GET", ["files", "damaged"]:
                return json_response(self.damaged)
            case "POST", ["files", "share"] if os.path.isdir(self.asked[-1][2]["path"]):
                return json_response(ShareAnswer("", "Folder shared successfully"))
            case "POST", ["files", "share"]:
                return json_response(ShareAnswer("ab" * 32, "File shared successfully"))
            case "DELETE", ["files", "unshare", file_id] if file_id in {file.id for file in self.files}:
                return json_response(Done("File unshared successfully"))
            case "POST", ["shares", "remove"]:
                return json_response(Done("No longer shared"))
            case "POST", ["owner", "code"]:
                return json_response(OwnerCode("once"))
        return problem(404, "file_not_found", "This peer shares no such file.")

    def info(self) -> PeerInfo:
        config = PublicConfig(9001, self.super_peer, 1000, 30.0)
        stats, is_registered = (DownloadStats(), UploadStats()), not self.trouble
        name = "my\x1b[2Jpeer"
        return PeerInfo("id", name, "127.0.0.1", 9001, is_registered, 3, WHEN, *stats, config, self.trouble)

    def listed(self, start: int) -> web.Response:
        end = start + self.page
        link = {"Link": f'<{self.next_host}/api/v1/files?cursor={end}>; rel="next"'} if end < len(self.files) else {}
        return json_response(self.files[start:end], headers=link)

    def share(self, content: Content) -> None:
        self.files.append(
            SharedFile(content.id, content.name, len(content.data), content.id, "other", ["t"], WHEN, 0, True)
        )


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines if line["event"] not in ("progress", "verifying")]


@dataclass
class Command:
    """Runs `peer` in a folder of its own, with nothing of the caller's environment that it might heed."""

    folder: Path

    async def start(self, *arguments: str | bytes, **keywords: Any) -> asyncio.subprocess.Process:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **keywords.pop("env", {}),
        }
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | keywords
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "peer", *arguments, cwd=self.folder, env=environment, **pipes
        )

    async def __call__(self, *arguments: str | bytes, **keywords: Any) -> Ran:
        process = await self.start(*arguments, **keywords)
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None
        return Ran(process.returncode, (out or b"").decode(), (err or b"").decode())


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def super_peer(stack: AsyncExitStack) -> FakeSuperPeer:
    fake = FakeSuperPeer(stack)
    fake.address = await serve(stack, fake.handle)
    return fake


@pytest.fixture
async def own_peer(stack: AsyncExitStack, super_peer: FakeSuperPeer) -> FakePeer:
    fake = FakePeer(super_peer.address)
    fake.address = await serve(stack, fake.handle)
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "here"
    made.mkdir()
    return made


@pytest.fixture
def peer(folder: Path) -> Command:
    return Command(folder)


@pytest.fixture
def content() -> Content:
    return Content(bytes(range(256)) * 4096, "blue danube.flac")


@pytest.fixture
async def shared(super_peer: FakeSuperPeer, content: Content) -> Content:
    """A content with one honest source."""
    await super_peer.announce(content, honest(content))
    return content
