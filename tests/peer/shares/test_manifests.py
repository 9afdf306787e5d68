"""Manifests of what is offered: made once, from proven bytes, and announced from then on."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from blake3 import blake3

from common.content.grid import SMALLEST_PIECE
from common.content.manifest import Manifest
from common.errors import Conflict, NotFound, Refusal, Unavailable
from common.serving.file_reply import Served, Version
from peer.shares import readings
from peer.shares.manifests import MAKERS, MOST_WAITING, Manifests, read_manifest
from tests.peer.shares.conftest import Kept, Shelf
from tests.peer.shares.trees import write
from tests.support.waiting import until

THREE_PIECES = os.urandom(2 * SMALLEST_PIECE + 1)


def manifest_by_hand(content: bytes) -> Manifest:
    parts = [content[at : at + SMALLEST_PIECE] for at in range(0, len(content), SMALLEST_PIECE)]
    return Manifest(len(content), b"".join(blake3(part).digest() for part in parts))


async def refusal(kept: Kept, file_id: str) -> tuple[type[Refusal], str]:
    with pytest.raises(Refusal) as refused:
        await kept.library.manifest(file_id)
    return type(refused.value), refused.value.code


async def announced(kept: Kept) -> dict[str, str | None]:
    """Announces what is pending: path → manifest."""
    pending = await kept.library.catalogue.pending()
    await kept.library.catalogue.mark_announced(pending, kept.library.catalogue.announced_version + 1)
    return {entry.path: entry.manifest for entry in pending.add}


@pytest.mark.parametrize("content", [b"", b"small", THREE_PIECES])
async def test_a_manifest_is_made_from_the_bytes_and_kept(shelf: Shelf, content: bytes) -> None:
    file_id = write(shelf.share / "file", content)
    kept = await shelf.open()
    assert await kept.library.manifest_digest(file_id) is None
    assert await kept.library.manifest(file_id) == manifest_by_hand(content)
    again = await shelf.reopen()
    assert await again.library.manifest_digest(file_id) == manifest_by_hand(content).digest
    assert await again.library.manifest(file_id) == manifest_by_hand(content)


async def test_a_known_manifest_is_announced_with_every_entry_once(shelf: Shelf) -> None:
    file_id = write(shelf.share / "one", THREE_PIECES)
    write(shelf.share / "two", THREE_PIECES)
    write(shelf.share / "other", "other")
    kept = await shelf.open()
    assert set((await announced(kept)).values()) == {None}
    kept.library.catalogue.changed.clear()
    digest = (await kept.library.manifest(file_id)).digest
    assert kept.library.catalogue.changed.is_set()
    assert await announced(kept) == {"share/one": digest, "share/two": digest}
    await kept.library.manifest(file_id)
    assert await announced(kept) == {}


async def test_a_manifest_that_is_told_before_the_file_is_found_goes_with_its_first_entry(shelf: Shelf) -> None:
    kept = await shelf.open()
    manifest = manifest_by_hand(THREE_PIECES)
    with pytest.raises(NotFound):
        await kept.library.manifest(write(shelf.folder / "elsewhere", THREE_PIECES))
    file_id = write(shelf.folder / "elsewhere", THREE_PIECES)
    await kept.library.know_manifest(file_id, manifest)
    os.rename(shelf.folder / "elsewhere", shelf.share / "fetched")
    await kept.until("share/fetched")
    assert await announced(kept) == {"share/fetched": manifest.digest}
    assert await kept.library.manifest(file_id) == manifest


async def test_what_is_not_offered_to_the_asker_has_no_manifest(shelf: Shelf) -> None:
    file_id = write(shelf.share / "mine", "mine")
    kept = await shelf.open()
    assert await refusal(kept, "0" * 64) == (NotFound, "file_not_found")
    await kept.library.edit(file_id, audience="people:me")
    assert await refusal(kept, file_id) == (NotFound, "file_not_found")
    with pytest.raises(NotFound):
        await kept.library.manifest_digest(file_id)
    assert await kept.library.manifest(file_id, public_only=False) == manifest_by_hand(b"mine")
    assert await refusal(kept, file_id) == (NotFound, "file_not_found")


async def test_a_file_that_changed_is_told_of_and_keeps_no_manifest(shelf: Shelf) -> None:
    file_id = write(shelf.share / "file", THREE_PIECES)
    kept = await shelf.open()
    async with kept.library._scan.turn:  # nobody looks meanwhile
        write(shelf.share / "file", "other")
        assert await refusal(kept, file_id) == (Conflict, "file_changed")


async def test_what_nobody_has_any_more_is_forgotten_after_a_while(shelf: Shelf) -> None:
    gone, here = write(shelf.share / "gone", "gone"), write(shelf.share / "here", "here")
    kept = await shelf.open()
    for file_id in (gone, here):
        await kept.library.manifest(file_id)
    database, now = kept.library._database, kept.clock.now()
    await database.write(lambda connection: connection.execute("DELETE FROM entry WHERE hash = ?", (gone,)).rowcount)
    for later, left in ((0.0, {gone, here}), (readings.REMEMBERED + 1, {here})):
        await database.write(readings.forget, now + later)
        found = await database.read(lambda connection: connection.execute("SELECT hash FROM reading").fetchall())
        assert {file_id for (file_id,) in found} == left


@pytest.mark.parametrize("change", [b"other", THREE_PIECES[:-1], b""])
def test_what_changes_while_it_is_read_gives_no_manifest(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(THREE_PIECES)
    fd = os.open(path, os.O_RDONLY)
    served = Served(fd, Version.of(fd), "file", "0" * 64, 0.0)
    os.utime(path, ns=(0, 0))
    if change != b"other":
        path.write_bytes(change)
    with pytest.raises(Conflict):
        read_manifest(served, threading.Event())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# Many at once


@dataclass
class Gate:
    """A library's files, which open only when told to; how many are being opened, and how often one was."""

    kept: Kept
    free: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    opened: list[str] = field(default_factory=list)

    async def open(self, file_id: str) -> Served:
        self.opened.append(file_id)
        self.waiting += 1
        await self.free.wait()
        self.waiting -= 1
        return await self.kept.library.open_for_serving(file_id)


@pytest.fixture
async def gate(shelf: Shelf) -> AsyncIterator[tuple[Gate, Manifests, list[str]]]:
    ids = [write(shelf.share / f"{number}", f"{number}") for number in range(MOST_WAITING + 1)]
    gate = Gate(await shelf.open())
    manifests = Manifests(gate.kept.library._database, gate.kept.clock, gate.open, lambda: None)
    yield gate, manifests, ids
    gate.free.set()
    await manifests.close()


async def test_however_many_ask_a_file_is_read_once(gate: tuple[Gate, Manifests, list[str]]) -> None:
    opening, manifests, (file_id, *_) = gate
    asking = [asyncio.create_task(manifests.of(file_id)) for _ in range(20)]
    await until(lambda: opening.waiting)
    leaver = asking.pop()
    leaver.cancel()
    opening.free.set()
    assert {manifest.digest for manifest in await asyncio.gather(*asking)} == {manifest_by_hand(b"0").digest}
    assert opening.opened == [file_id]


async def test_making_goes_on_when_nobody_waits_any_more(gate: tuple[Gate, Manifests, list[str]]) -> None:
    opening, manifests, (file_id, *_) = gate
    asking = asyncio.create_task(manifests.of(file_id))
    await until(lambda: opening.waiting)
    asking.cancel()
    opening.free.set()
    assert await manifests.of(file_id) == manifest_by_hand(b"0")
    assert opening.opened == [file_id]


async def test_some_are_made_at_a_time_and_not_too_many_are_waited_for(
    gate: tuple[Gate, Manifests, list[str]],
) -> None:
    opening, manifests, ids = gate
    asking = [asyncio.create_task(manifests.of(file_id)) for file_id in ids[:MOST_WAITING]]
    await until(lambda: len(manifests._making) == MOST_WAITING and opening.waiting == MAKERS)
    with pytest.raises(Unavailable) as refused:
        await manifests.of(ids[-1])
    assert (refused.value.code, refused.value.retry_after) == ("hashes_pending", 5.0)
    opening.free.set()
    assert len(await asyncio.gather(*asking)) == MOST_WAITING
    assert await manifests.of(ids[-1])


async def test_a_stop_ends_the_making(gate: tuple[Gate, Manifests, list[str]]) -> None:
    opening, manifests, (file_id, other, *_) = gate
    asking = asyncio.create_task(manifests.of(file_id))
    await until(lambda: opening.waiting)
    closing = asyncio.create_task(manifests.close())
    await until(manifests._closing.is_set)
    opening.free.set()
    with pytest.raises(Unavailable) as refused:
        await asking
    assert refused.value.code == "shutting_down"
    await closing
    with pytest.raises(Unavailable):
        await manifests.of(other)
