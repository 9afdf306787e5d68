"""`GET /api/v1/manifest/{id}` over real sockets."""

import asyncio
from dataclasses import dataclass, field

import pytest

from common.content.manifest import Manifest
from common.http.endpoint import Endpoint
from common.wire.transfer import ManifestAnswer
from peer.shares.manifest_routes import ManifestRoutes
from tests.peer.shares.conftest import Shelf
from tests.peer.shares.test_manifests import THREE_PIECES, manifest_by_hand
from tests.peer.shares.trees import write
from tests.support.daemon import running, tiny_daemon
from tests.support.wire import asked


@dataclass
class Slow:
    """A library whose manifest is ready when it is."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def manifest_digest(self, file_id: str, *, public_only: bool = True) -> str | None:
        return manifest_by_hand(THREE_PIECES).digest if self.ready.is_set() else None

    async def manifest(self, file_id: str, *, public_only: bool = True) -> Manifest:
        await self.ready.wait()
        return manifest_by_hand(THREE_PIECES)


def endpoints(library: object, patience: float = 10.0) -> list[Endpoint]:
    return ManifestRoutes(library, patience).endpoints()  # type: ignore[arg-type]


async def test_the_piece_hashes_are_told(shelf: Shelf) -> None:
    file_id = write(shelf.share / "file", THREE_PIECES)
    kept = await shelf.open()
    manifest = manifest_by_hand(THREE_PIECES)
    async with running(tiny_daemon(*endpoints(kept.library))) as served:
        answer = await asked(served.port, f"/api/v1/manifest/{file_id.upper()}")
    assert answer.json() == {
        "id": file_id,
        "size": len(THREE_PIECES),
        "piece_size": 256 * 1024,
        "pieces": manifest.hex_hashes(),
    }
    assert answer.headers["ETag"] == f'"{manifest.digest}"'
    assert set(answer.json()) == set(ManifestAnswer.__struct_fields__)


@pytest.mark.parametrize("wanted", ["0" * 64, "x", "..%2f..%2fetc%2fpasswd"])
async def test_what_is_not_offered_is_not_found(shelf: Shelf, wanted: str) -> None:
    kept = await shelf.open()
    async with running(tiny_daemon(*endpoints(kept.library))) as served:
        assert (await asked(served.port, f"/api/v1/manifest/{wanted}")).problem() == (404, "file_not_found")


async def test_who_has_it_already_gets_no_body(shelf: Shelf) -> None:
    file_id = write(shelf.share / "file", THREE_PIECES)
    kept = await shelf.open()
    async with running(tiny_daemon(*endpoints(kept.library))) as served:
        path = f"/api/v1/manifest/{file_id}"
        tag = (await asked(served.port, path)).headers["ETag"]
        again = await asked(served.port, path, If_None_Match=tag)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
        assert (await asked(served.port, path, If_None_Match='"other"')).status == 200


async def test_what_takes_long_is_to_be_asked_for_again() -> None:
    library = Slow()
    async with running(tiny_daemon(*endpoints(library, patience=0.01))) as served:
        path = f"/api/v1/manifest/{'0' * 64}"
        refused = await asked(served.port, path)
        assert refused.problem() == (503, "hashes_pending")
        assert refused.headers["Retry-After"] == "5"
        library.ready.set()
        assert (await asked(served.port, path)).status == 200
