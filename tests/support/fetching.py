"""A daemon that downloads, seen by its owner, and the files that come of it; with sources beside it.

What may be wrong with bytes is looked for at every look: under a final name nothing lies that is not the file.
"""

import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.front import Front, front
from tests.support.network import Network, Process, free_port

MIB = 1 << 20
Told = dict[str, Any]


def make_file(path: Path, size: int, seed: int = 0) -> str:
    """A file of random bytes; its id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance, digest = random.Random(seed), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            data = chance.randbytes(min(MIB, size - start))
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def id_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def add(
    net: Network,
    name: str,
    *shares: Path,
    module: str = "peer",
    data: Path | None = None,
    host: str = "127.0.0.1",
    **settings: str,
) -> Process:
    """A peer with settings of its own, started; `module` is what runs instead of the command `peer`."""
    port = free_port()
    where = ["--host", host, "--port", str(port), "--data", str(data or net.folder / name)]
    command = [module, "run", "--name", name, *where, "--super-peer", net.super_peer.address]
    (net.folder / f"{name}'s").mkdir(exist_ok=True)
    command += [part for share in (shares or (net.folder / f"{name}'s",)) for part in ("--share", str(share))]
    peer = net.peers[name] = Process(name, port, command, net.folder / f"{name}.log", host=host)
    peer.inside = ("env", *(f"{key}={value}" for key, value in settings.items()))
    await net.start(peer)
    return peer


@asynccontextmanager
async def fronted(net: Network, name: str, *shares: Path, **settings: str) -> AsyncIterator[Front]:
    """A peer that others reach through a front alone."""
    async with front(0) as before:
        settings["FRONT_PORT"] = str(before.port)
        # It listens only after the front does, so that the super-peer that dials it back finds it there.
        peer = await add(net, name, *shares, module="tests.support.fronted_peer", **settings)
        before.behind = peer.port
        yield before


async def peer_id(net: Network, peer: Process) -> str:
    return str((await net.get(f"{peer.url}/api/v1/info"))["id"])


async def reputation(net: Network, peer: Process) -> int:
    """What the super-peer thinks of it."""
    return int((await net.get(f"{net.super_peer.url}/api/v1/peers/{await peer_id(net, peer)}"))["reputation"])


async def served(net: Network, *peers: Process) -> int:
    """Bytes of files that these have sent since they were started."""
    told = [await net.get(f"{peer.url}/api/v1/stats") for peer in peers]
    return sum(int(stats["upload_stats"]["total_bytes"]) for stats in told)


async def until_sources(net: Network, file_id: str, count: int) -> list[Told]:
    """Once so many offer it."""

    async def known() -> list[Told] | None:
        found: list[Told] | None = await net.get(f"{net.super_peer.url}/api/v1/files/{file_id}/sources")
        return found if found is not None and len(found) == count else None

    return list(await net.until(known))


@dataclass
class Fetcher:
    """A downloading daemon, and the folder that it downloads into."""

    net: Network
    peer: Process
    data: Path
    folder: Path

    async def ask(self, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
        """Asks as its owner does; the status, and what was said."""
        headers = {"Authorization": f"Bearer {(self.data / 'owner-token').read_text().strip()}"}
        url = f"{self.peer.url}/api/v1/downloads{path}"
        async with self.net.session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def begin(self, file_id: str, **more: object) -> str:
        """Adds a download; its number in the queue."""
        status, told = await self.ask("POST", body={"file_id": file_id, **more})
        assert status == 200, told
        return str(told["id"])

    async def look(self, download: str) -> Told:
        """How it fares; what lies under final names is right."""
        status, told = await self.ask("GET", f"/{download}")
        assert status == 200, told
        return dict(told)

    async def until(self, download: str, happened: Callable[[Told], object]) -> Told:
        """Once this holds of it. Fails with how it stood."""
        told: Told = {}

        async def once() -> Told | None:
            nonlocal told
            told = await self.look(download)
            return told if happened(told) else None

        try:
            return dict(await self.net.until(once))
        except TimeoutError:
            raise AssertionError(f"it did not come to that: {json.dumps(told, indent=1)}") from None

    async def reaches(self, download: str, share: float) -> Told:
        """Once that share of it is proven."""
        return await self.until(download, lambda told: told["verified"] >= share * told["size"])

    async def stalls(self, download: str) -> Told:
        """Once it cannot go on, for which there are words."""
        told = await self.until(download, lambda told: told["state"] in ("stalled", "failed"))
        assert told["why"]
        return told

    async def finishes(self, download: str) -> Told:
        """Once it is finished and lies there whole, and nothing else with it."""
        told = await self.until(download, lambda told: told["state"] in ("finished", "failed"))
        assert told["state"] == "finished", told["why"]
        assert id_of_file(Path(told["path"])) == told["file_id"]
        assert not list(self.folder.glob("*.part")), "a part is left behind"
        return told

    def check(self, *file_ids: str) -> None:
        """Nothing but these very files lies under a final name."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            assert path.suffix == ".part" or id_of_file(path) in file_ids, f"{path} is not what it is called"


async def fetcher(
    net: Network, name: str = "fetcher", module: str = "peer", data: Path | None = None, **settings: str
) -> Fetcher:
    """A peer that shares nothing, to download with."""
    data = data or net.folder / name
    peer = await add(net, name, module=module, data=data, **settings)
    return Fetcher(net, peer, data, Path(settings.get("PEER_DOWNLOADS", data / "downloads")))
