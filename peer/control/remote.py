"""The two daemons that a command speaks to: the super-peer, and the owner's peer on this machine.

Whatever goes wrong is a Stop whose one line says what to do next.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from yarl import URL

from common.content.hashing import SHA256, Algorithm, algorithm_named
from common.http.outgoing import Outgoing, OutgoingError, read_bounded
from common.runtime.secret_file import SecretUnusable, read_secret
from common.wire.cache import Cache
from common.wire.files import (
    DamagedFile,
    Done,
    FileInfo,
    SearchAnswer,
    Share,
    ShareAnswer,
    SharedFile,
    ShareRequest,
    Source,
    UnshareRequest,
)
from common.wire.peer_daemon import OwnerCode, PeerInfo
from common.wire.peers import NetworkStats, Peer
from common.wire.transfer import Download, DownloadRequest, DownloadsRequest, Limits
from peer.control.exits import Exit, Stop, exit_of

T = TypeVar("T")
Query = Sequence[tuple[str, str]]

LARGEST_ANSWER = 16 * 1024 * 1024
HASHING_DEADLINE = 3600.0  # seconds; a share is answered when its bytes are hashed
PAGE = 1000
OF_THE_DAEMON = frozenset({"address_not_allowed", "host_not_allowed", "too_many_connections"})
"""What is about the daemon that was called, which has to be named, and not about what was asked of it."""


class SuperPeer:
    """The index of the network."""

    def __init__(self, outgoing: Outgoing, address: str) -> None:
        self._outgoing = outgoing
        self._address = address

    async def search(self, query: Query) -> SearchAnswer:
        """One page of what is found."""
        return await self._get("/api/v1/files/search", SearchAnswer, query)

    async def file(self, file_id: str) -> FileInfo:
        """One file; not found when nobody announced it."""
        return await self._get(f"/api/v1/files/{file_id}", FileInfo)

    async def algorithm(self) -> Algorithm:
        """What names the files of this network."""
        try:
            return algorithm_named((await self._get("/api/v1/stats", NetworkStats)).hash_algorithm)
        except (Stop, ValueError):
            return SHA256

    async def sources(self, file_id: str) -> list[Source]:
        """Who is online and holds it, best first."""
        return await self._get(f"/api/v1/files/{file_id}/sources", list[Source])

    async def peers(self) -> list[Peer]:
        """Every peer that is known, a page of them at a time."""
        found: list[Peer] = []
        query: Query | None = [("limit", str(PAGE))]
        while query is not None:
            with self._explained():
                async with self._outgoing.request(
                    "GET", url_of(self._address, "/api/v1/peers", query), deadline=15.0
                ) as response:
                    page, query = await _page(response, Peer)
            found += page
        return found

    async def _get(self, path: str, kind: type[T], query: Query = ()) -> T:
        with self._explained():
            return await self._outgoing.get_json(url_of(self._address, path, query), kind, limit=LARGEST_ANSWER)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        advice = (
            f"The super-peer at {self._address} does not answer. Is it running? "
            "Start one with `superpeer`, or name another with --super-peer HOST:PORT."
        )
        with explained(advice, f"The super-peer at {self._address}"):
            yield


class OwnPeer:
    """The peer on this machine. `token_file` holds its owner's token."""

    def __init__(self, outgoing: Outgoing, address: str, token_file: str) -> None:
        self._outgoing = outgoing
        self._address = address
        self._token_file = token_file

    async def info(self, deadline: float = 15.0) -> PeerInfo:
        """What it says of itself."""
        with self._explained():
            return await self._outgoing.get_json(self._url("/api/v1/info"), PeerInfo, deadline=deadline)

    async def files(self) -> list[SharedFile]:
        """All that it offers."""
        found: list[SharedFile] = []
        query: Query | None = [("limit", str(PAGE))]
        while query is not None:
            async with self._ask("GET", self._url("/api/v1/files", query)) as response:
                page, query = await _page(response, SharedFile)
            found += page
        return found

    async def shares(self) -> list[Share]:
        """The shared folders and files, by path."""
        return await self._command("GET", self._url("/api/v1/shares"), list[Share])

    async def damaged(self) -> list[DamagedFile]:
        """The files that the disk has lost, and what to do."""
        return await self._command("GET", self._url("/api/v1/files/damaged"), list[DamagedFile])

    async def share(self, path: str, tags: list[str]) -> ShareAnswer:
        """Offers a file or folder."""
        body = msgspec.json.encode(ShareRequest(path, tags))
        return await self._command("POST", self._url("/api/v1/files/share"), ShareAnswer, body, HASHING_DEADLINE)

    async def unshare(self, file_id: str, delete: bool) -> Done:
        """Offers it no longer."""
        query = [("delete", "true")] if delete else []
        return await self._command("DELETE", self._url(f"/api/v1/files/unshare/{file_id}", query), Done)

    async def unshare_path(self, path: str) -> Done:
        """Offers a shared folder no longer."""
        body = msgspec.json.encode(UnshareRequest(path))
        return await self._command("POST", self._url("/api/v1/shares/remove"), Done, body)

    async def add(self, files: list[DownloadRequest]) -> list[Download]:
        """Adds downloads to its queue."""
        body = msgspec.json.encode(DownloadsRequest(files))
        return await self._command("POST", self._url("/api/v1/downloads"), list[Download], body, 60.0)

    async def downloads(self) -> list[Download]:
        """All that it fetches and has fetched."""
        return await self._command("GET", self._url("/api/v1/downloads"), list[Download])

    async def download(self, download_id: str) -> Download:
        """One of them."""
        return await self._command("GET", self._url(f"/api/v1/downloads/{download_id}"), Download)

    async def pause(self, download_id: str) -> Download:
        """Stops it for a while."""
        return await self._command("POST", self._url(f"/api/v1/downloads/{download_id}/pause"), Download)

    async def resume(self, download_id: str) -> Download:
        """Goes on with it."""
        return await self._command("POST", self._url(f"/api/v1/downloads/{download_id}/resume"), Download)

    async def cancel(self, download_id: str) -> Done:
        """Forgets it."""
        return await self._command("DELETE", self._url(f"/api/v1/downloads/{download_id}"), Done)

    async def cache(self) -> Cache:
        """What it offers on of what it has fetched."""
        return await self._command("GET", self._url("/api/v1/cache"), Cache)

    async def drop_cached(self, file_id: str) -> Done:
        """Offers this on no longer."""
        return await self._command("DELETE", self._url(f"/api/v1/cache/{file_id}"), Done)

    async def clear_cache(self) -> Done:
        """Offers nothing on of what it has."""
        return await self._command("DELETE", self._url("/api/v1/cache"), Done)

    async def limits(self) -> Limits:
        """How fast it may be."""
        return await self._command("GET", self._url("/api/v1/limits"), Limits)

    async def set_limits(self, limits: Limits) -> Limits:
        """Makes it so."""
        return await self._command("PUT", self._url("/api/v1/limits"), Limits, msgspec.json.encode(limits))

    async def page_link(self) -> str:
        """A link that opens the owner's part of the page once."""
        answer = await self._command("POST", self._url("/api/v1/owner/code"), OwnerCode)
        return f"{self._url('/')}#code={answer.code}"

    async def _command(
        self, method: str, url: str, kind: type[T], body: bytes | None = None, deadline: float = 15.0
    ) -> T:
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        async with self._ask(method, url, headers, body, deadline) as response:
            return msgspec.json.decode(await read_bounded(response, LARGEST_ANSWER), type=kind)

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: float = 15.0,
    ) -> AsyncIterator[Any]:
        with self._explained():
            async with self._outgoing.request(
                method, url, headers=headers, body=body, deadline=deadline, head_deadline=deadline
            ) as response:
                yield response

    def _url(self, path: str, query: Query = ()) -> str:
        return url_of(self._address, path, query)

    def _token(self) -> str:
        why = "No such file or directory"
        try:
            kept = read_secret(Path(self._token_file), own=False)
            if kept is not None:
                return kept.decode("ascii").strip()
        except SecretUnusable as error:
            why = error.why
        except UnicodeDecodeError:
            why = "not a token"
        detail = f"No owner's token in {self._token_file} ({why}). Name your peer's data folder with --data DIR."
        raise Stop(Exit.USAGE, "token_required", detail)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        advice = f"No peer answers at {self._address}. Start yours with `peer run`, or name it with --peer HOST:PORT."
        try:
            with explained(advice, f"The peer at {self._address}"):
                yield
        except Stop as stop:
            if stop.code == "token_invalid":
                stop.detail = (
                    f"The peer at {self._address} does not know the token in {os.path.abspath(self._token_file)}. "
                    "Name its data folder with --data DIR."
                )
            raise


class OtherPeer:
    """A peer of the network, asked for what everybody may know."""

    def __init__(self, outgoing: Outgoing, address: str) -> None:
        self._outgoing = outgoing
        self._address = address

    async def below(self, path: str, most: int) -> list[SharedFile]:
        """What it offers at or below a path of its catalogue. Raises Stop when that is more than `most` files."""
        found: list[SharedFile] = []
        query: Query | None = [("prefix", path), ("limit", str(PAGE))]
        advice = f"The peer at {self._address} does not answer. Try again when it is online."
        while query is not None:
            with explained(advice, f"The peer at {self._address}"):
                async with self._outgoing.request(
                    "GET", url_of(self._address, "/api/v1/files", query), deadline=15.0
                ) as response:
                    page, query = await _page(response, SharedFile)
            found += page
            if len(found) > most:
                raise Stop(Exit.FAILED, "too_many_downloads", f"These are more than {most} files: name a folder in it.")
        return found


async def _page(response: Any, kind: type[T]) -> tuple[list[T], Query | None]:
    """One page of a list, and the query of the next."""
    found = msgspec.json.decode(await read_bounded(response, LARGEST_ANSWER), type=list[kind])  # type: ignore[valid-type]
    following = response.links.get("next", {}).get("url")
    return found, list(URL(str(following)).query.items()) if following and found else None


@contextmanager
def explained(unreachable: str, who: str) -> Iterator[None]:
    """Turns what the daemon `who` refuses, or that it is not there, into a Stop."""
    try:
        yield
    except OutgoingError as error:
        if error.status is None:
            code = "timed_out" if error.code == "timed_out" else "unreachable"
            raise Stop(Exit.FAILED, code, unreachable) from error
        if not error.problem:
            raise Stop(Exit.FAILED, error.code, f"{error.detail} Is that the right address?") from error
        detail = f"{who} refuses: {error.detail}" if error.code in OF_THE_DAEMON else error.detail
        raise Stop(exit_of(error.code), error.code, detail) from error
    except msgspec.DecodeError as error:
        raise Stop(Exit.FAILED, "invalid_body", f"The answer cannot be understood: {error}.") from error


def url_of(address: str, path: str, query: Query = ()) -> str:
    """The URL of `path` on a daemon at HOST:PORT."""
    return str(URL(f"http://{address}{path}").with_query(query))
