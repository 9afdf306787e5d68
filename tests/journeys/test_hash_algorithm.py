"""A network that names its files by BLAKE3, with real processes: found, served, closed to peers of the other kind."""

import os
from pathlib import Path
from typing import Any

from blake3 import blake3

from tests.support.network import network, write


async def test_a_network_may_name_its_files_by_blake3(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    file_id = blake3(content).hexdigest()
    for name in ("a", "b"):
        write(tmp_path / f"of {name}" / f"{name} beach.jpg", content)
    async with network(tmp_path, SECURITY_HASH_ALGORITHM="blake3") as net:
        one, two = [await net.add_peer(name, tmp_path / f"of {name}") for name in ("a", "b")]
        where = f"{net.super_peer.url}/api/v1/files/{file_id}/sources"

        async def sources(count: int) -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = await net.get(where) or []
            return found if len(found) == count else None

        await net.until(lambda: sources(2))
        assert set(await net.find("beach")) == {file_id}
        assert (await net.get(f"{net.super_peer.url}/api/v1/stats"))["hash_algorithm"] == "blake3"
        async with net.session.get(f"{net.super_peer.url}/api/v1/download/{file_id}") as answer:
            assert answer.headers["ETag"] == f'"{file_id}"'
            assert "Repr-Digest" not in answer.headers
            assert await answer.read() == content

        manifest = await net.get(f"{one.url}/api/v1/manifest/{file_id}")
        assert manifest["pieces"][0] == blake3(content[: manifest["piece_size"]]).hexdigest()
        digest = blake3(bytes.fromhex("".join(manifest["pieces"]))).hexdigest()

        async def announced() -> bool:
            return digest in [source["manifest"] for source in await net.get(where)]

        await net.until(announced)

        net.settings["SECURITY_HASH_ALGORITHM"] = "sha256"
        other = await net.add_peer("other", tmp_path / "of a")

        async def trouble() -> str:
            told: str = (await net.get(f"{other.url}/api/v1/info"))["trouble"]
            return told if "blake3" in told else ""

        assert "set security.hash_algorithm to blake3" in await net.until(trouble)
        assert await net.until(lambda: sources(2))
        assert two.process is not None
