"""The scrub over real files: what the disk has lost is found, withdrawn and named, and back once it is repaired."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from common.content.grid import SMALLEST_PIECE
from common.content.hashing import BLAKE3, SHA256, Algorithm
from common.errors import NotFound
from peer.shares import damage
from tests.peer.shares.conftest import Kept, Shelf
from tests.peer.shares.test_library import served
from tests.peer.shares.test_manifests import THREE_PIECES, manifest_by_hand
from tests.peer.shares.trees import plant, sha256, write
from tests.support.waiting import PATIENCE

QUICK = {"scrub_interval": 0.2, "scrub_rate": 0}
"""All is read again and again."""
LARGE = os.urandom(1 << 20) * 9


def rot(path: Path, at: int = 0) -> None:
    """Turns a bit over, as a disk does: nothing about the file tells."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def repair(kept: Kept, path: Path, content: bytes) -> None:
    """Writes what was there, and makes it look as it did, as `cp -p` does."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def checksums(kept: Kept) -> set[str]:
    """The contents whose XXH3 is known."""
    query = "SELECT hash FROM reading WHERE xxh3 IS NOT NULL"
    found = await kept.library._database.read(lambda connection: connection.execute(query).fetchall())
    return {file_id for (file_id,) in found}


async def checked(kept: Kept, *ids: str) -> None:
    """Returns once these were read through for the first time."""
    async with asyncio.timeout(PATIENCE):
        while not await checksums(kept) >= set(ids):
            await asyncio.sleep(0.005)


async def damaged(kept: Kept) -> list[str]:
    return sorted(Path(file.path).name for file in await kept.library.damaged())


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("algorithm", [SHA256, BLAKE3], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("content", [b"small", THREE_PIECES, LARGE], ids=["small", "pieces", "slices"])
async def test_a_file_that_the_disk_has_lost_is_withdrawn_and_named(
    shelf: Shelf, content: bytes, algorithm: Algorithm, is_known: bool
) -> None:
    write(shelf.share / "fine", b"fine")
    write(shelf.share / "lost", content)
    file_id = algorithm.new(content).hexdigest()
    kept = await shelf.open(algorithm, **(QUICK if is_known else {}))
    if is_known:
        await checked(kept, file_id)
    assert await kept.names() == ["share/fine", "share/lost"]
    rot(shelf.share / "lost", len(content) - 1)
    if not is_known:
        kept = await shelf.reopen(algorithm, **QUICK)
    await kept.until("share/fine")
    with pytest.raises(NotFound):
        await kept.library.open_for_serving(file_id)
    [file] = await kept.library.damaged()
    assert (file.id, file.path, file.size) == (file_id, str(shelf.share / "lost"), len(content))
    assert "bytes are not those" in file.why and f"peer get {file_id}" in file.advice
    assert kept.library.damaged_files == 1
    assert (kept.kinds()["file_damaged"], kept.kinds()["file_removed"]) == (1, 1)


@pytest.mark.parametrize("how", ["another file", "in place", "in place, with the old time"])
async def test_it_is_offered_again_once_its_bytes_are_back(shelf: Shelf, how: str) -> None:
    path = shelf.share / "file"
    write(path, THREE_PIECES)
    kept = await shelf.open(**QUICK)
    rot(path)
    await kept.until()
    if how == "another file":
        write(shelf.folder / "backup", THREE_PIECES)
        os.rename(shelf.folder / "backup", path)
    elif how == "in place":
        path.write_bytes(THREE_PIECES)
    else:
        await repair(kept, path, THREE_PIECES)
    await kept.until("share/file")
    assert await damaged(kept) == []
    await kept.eventually(lambda: kept.library.damaged_files == 0)


async def test_damage_is_remembered_and_goes_with_the_file(shelf: Shelf) -> None:
    path = shelf.share / "file"
    write(path, THREE_PIECES)
    kept = await shelf.open(**QUICK)
    rot(path, SMALLEST_PIECE)  # not where a moved file is known by
    await kept.until()
    kept = await shelf.reopen(scrub_interval=0.0)
    assert (await kept.names(), await damaged(kept)) == ([], ["file"])
    os.rename(path, shelf.share / "another name")
    os.link(shelf.share / "another name", shelf.share / "linked")
    write(shelf.share / "new", "new")
    await kept.until("share/new")
    await kept.library.quiet()
    assert (await kept.names(), await damaged(kept)) == (["share/new"], ["another name", "linked"])
    os.unlink(shelf.share / "linked")
    os.unlink(shelf.share / "another name")
    await kept.library.quiet()
    async with asyncio.timeout(PATIENCE):
        while await damaged(kept):
            await kept.library.turned()


async def test_one_copy_may_be_lost_and_the_other_not(shelf: Shelf) -> None:
    file_id = write(shelf.share / "one", THREE_PIECES)
    write(shelf.share / "two", THREE_PIECES)
    os.link(shelf.share / "two", shelf.share / "three")
    kept = await shelf.open(**QUICK)
    await checked(kept, file_id)
    rot(shelf.share / "two")
    await kept.until("share/one")
    assert await damaged(kept) == ["three", "two"]
    assert await served(kept, file_id) == THREE_PIECES


async def test_the_first_reading_makes_the_manifest_of_what_has_pieces(shelf: Shelf) -> None:
    file_id, small = write(shelf.share / "pieces", THREE_PIECES), write(shelf.share / "small", "small")
    kept = await shelf.open(**QUICK)
    await checked(kept, file_id, small)
    assert await kept.library.manifest_digest(file_id) == manifest_by_hand(THREE_PIECES).digest
    assert await kept.library.manifest_digest(small) is None
    pending = await kept.library.catalogue.pending()
    manifests = {entry.path: entry.manifest for entry in pending.add}
    assert manifests == {"share/pieces": manifest_by_hand(THREE_PIECES).digest, "share/small": None}


async def test_a_manifest_made_of_lost_bytes_is_replaced_when_they_are_back(shelf: Shelf) -> None:
    file_id = write(shelf.share / "file", THREE_PIECES)
    kept = await shelf.open()
    rot(shelf.share / "file", SMALLEST_PIECE)
    assert (await kept.library.manifest(file_id)).digest != manifest_by_hand(THREE_PIECES).digest
    await repair(kept, shelf.share / "file", THREE_PIECES)
    kept = await shelf.reopen(**QUICK)
    await checked(kept, file_id)
    assert await kept.library.manifest(file_id) == manifest_by_hand(THREE_PIECES)


async def test_what_changes_is_not_damaged(shelf: Shelf) -> None:
    paths = plant(shelf.share, 60)
    kept = await shelf.open(**QUICK)
    for path in paths:
        write(shelf.share / path, f"changed {path}")
    shutil.rmtree(shelf.share / "folder 1")
    left = [path for path in paths if not path.startswith("folder 1/")]
    await checked(kept, *(sha256(f"changed {path}") for path in left))
    assert kept.kinds()["file_damaged"] == 0
    assert await kept.names() == sorted(f"share/{path}" for path in left)


async def test_the_oldest_comes_first_after_a_restart_too(shelf: Shelf) -> None:
    ids = [write(shelf.share / name, name) for name in ("a", "b", "c")]
    kept = await shelf.open(**QUICK)
    await checked(kept, *ids)
    await shelf.close()
    kept = await shelf.open(scrub_interval=1000.0)
    kept.clock.ahead = 2000.0
    times = {"b": 3.0, "c": 1.0, "a": 2.0}
    values = [(when, name.encode()) for name, when in times.items()]
    update = "UPDATE entry SET checked_at = ? WHERE name = ?"
    await kept.library._database.write(lambda connection: connection.executemany(update, values).rowcount)
    suspects = await kept.library._database.read(damage.due, 2.5, 10)
    assert [suspect.kept.name for suspect in suspects] == [b"c", b"a"]
    write(shelf.share / "new", "new")
    await kept.until("share/a", "share/b", "share/c", "share/new")
    suspects = await kept.library._database.read(damage.due, 2.5, 10)
    assert [suspect.kept.name for suspect in suspects] == [b"new"]


async def test_a_scrub_may_be_turned_off(shelf: Shelf) -> None:
    write(shelf.share / "file", "file")
    kept = await shelf.open(scrub_interval=0.0)
    assert "scrub" not in kept.library._jobs._jobs
    assert kept.library.scrubbed == 0


async def test_it_waits_while_somebody_is_served(shelf: Shelf) -> None:
    file_id = write(shelf.share / "file", "file")
    asked, served_now = 0, True

    def busy() -> bool:
        nonlocal asked
        asked += 1
        return served_now

    shelf.busy = busy
    kept = await shelf.open(**QUICK)
    await kept.eventually(lambda: asked > 0)
    assert (kept.library.scrubbed, await checksums(kept)) == (0, set())
    served_now = False
    await checked(kept, file_id)


async def test_a_stop_amid_a_file_leaves_nothing_open(shelf: Shelf) -> None:
    write(shelf.share / "file", LARGE)
    kept = await shelf.open(scrub_interval=0.2, scrub_rate=1)  # it rests for weeks after the first slice
    await kept.eventually(lambda: kept.library.scrubbed > 0)
    assert await checksums(kept) == set()
    await shelf.close()  # and the fixture counts descriptors


async def test_a_crowd_is_gone_through_some_at_a_time(shelf: Shelf) -> None:
    paths = plant(shelf.share, 700)
    kept = await shelf.open(**QUICK)
    await checked(kept, *(file_id for path, file_id in paths.items() if (shelf.share / path).stat().st_size))
    rot(shelf.share / "folder 7/inner/file 355.txt", 3)
    await kept.eventually(lambda: kept.library.damaged_files == 1)
    assert await damaged(kept) == ["file 355.txt"]


async def test_what_touches_a_damaged_file_has_it_looked_at_again(shelf: Shelf) -> None:
    path = shelf.share / "file"
    write(path, THREE_PIECES)
    kept = await shelf.open(**QUICK)
    rot(path)
    await kept.until()
    kept = await shelf.reopen(scrub_interval=1e6)
    scrub = kept.library._scrub
    assert await scrub._touched() == []
    await repair(kept, path, THREE_PIECES)
    assert [suspect.kept.name for suspect in await scrub._touched()] == [b"file"]
    path.unlink()
    assert await scrub._touched() == []
