"""The cache of finished downloads: what is offered on, what goes first, and what becomes of it when disks and owners
change."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.content.hashing import SHA256, algorithm_named
from common.content.manifest import Manifest, manifest_of
from common.errors import Conflict, NotFound
from peer.shares.cache import Finished
from peer.shares.cache_folder import adopt
from peer.shares.cache_store import Cached, surplus
from tests.peer.shares.conftest import Kept, Shelf
from tests.peer.shares.trees import sha256, write
from tests.support.waiting import PATIENCE

SOON = {"sweep_interval": 0.02}


async def ended(kept: Kept) -> None:
    """Once nothing waits to be taken up or looked at."""
    cache = kept.library.cache
    async with asyncio.timeout(PATIENCE):
        while cache._worker is not None and not cache._worker.done():
            await asyncio.wait([cache._worker])


async def finish(kept: Kept, path: Path, content: bytes | str, name: str = "") -> str:
    """A download of this content, finished and taken up (or not); its id."""
    file_id = write(path, content)
    kept.library.offer_on(file_id, path.stat().st_size, name or path.name, str(path))
    await ended(kept)
    return file_id


async def read(kept: Kept, file_id: str) -> bytes:
    found = await kept.library.open_for_serving(file_id)
    try:
        return os.read(found.fd, 1 << 20)
    finally:
        os.close(found.fd)


async def cached(kept: Kept) -> list[str]:
    """Names in the cache, what was used last first."""
    return [file.filename for file in (await kept.library.cache.listed(1000)).entries]


def kept_in(shelf: Shelf) -> list[str]:
    """What lies in the cache's folder."""
    root = shelf.folder / "data" / "cache"
    return sorted(os.listdir(root)) if root.exists() else []


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder of another file system."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


# What is offered


async def test_a_finished_download_is_offered_on_without_taking_room(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "Holiday Photos.zip"
    file_id = await finish(kept, path, "photos")
    found = await kept.library.find(file_id)
    assert found is not None
    assert (found.filename, found.path, found.tags) == ("Holiday Photos.zip", "downloads/Holiday Photos.zip", [])
    assert await read(kept, file_id) == b"photos"
    assert (shelf.folder / "data" / "cache" / file_id / path.name).samefile(path)
    assert kept.library.shared_files == 1
    assert [share.label for share in await kept.library.shares()] == ["share"]
    pending = (await kept.library.catalogue.pending()).add
    assert [(entry.path, entry.audience, entry.tags) for entry in pending] == [(found.path, "public", [])]
    assert (await kept.library.search("photos", "")).count == 1
    assert (await kept.library.search(file_id[:16], "")).count == 0


async def test_the_manifest_that_was_learnt_is_announced_at_once(shelf: Shelf) -> None:
    kept = await shelf.open()
    content = bytes(range(256)) * 4096
    steps = manifest_of(len(content), lambda part, at: _copy_to(part, content[at : at + len(part)]), _buffer())
    manifest: Manifest | None = None
    while manifest is None:
        manifest = next(steps)
    await kept.library.know_manifest(sha256(content), manifest)
    await finish(kept, shelf.folder / "got" / "big.bin", content)
    assert [entry.manifest for entry in (await kept.library.catalogue.pending()).add] == [manifest.digest]


async def test_it_is_still_there_after_a_restart(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    kept = await shelf.reopen()
    assert await kept.names() == ["downloads/a.txt"]
    assert await read(kept, file_id) == b"a"
    assert kept.library.cache.bytes == 1


async def test_it_is_called_by_its_own_name_however_it_was_saved(shelf: Shelf) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "a (2).txt", "one", name="a.txt")
    await finish(kept, shelf.folder / "got" / "other" / "a.txt", "two")
    assert await kept.names() == ["downloads/a (2).txt", "downloads/a.txt"]
    assert await cached(kept) == ["a.txt", "a.txt"]


async def test_the_same_content_fetched_again_is_one(shelf: Shelf) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "a.txt", "same")
    await finish(kept, shelf.folder / "got" / "b.txt", "same")
    assert await kept.names() == ["downloads/a.txt"]
    assert (await kept.library.cache.listed(10)).count == 1


async def test_what_was_dropped_may_come_back(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    assert await kept.library.cache.drop(file_id) == 1
    assert (await kept.names(), kept_in(shelf)) == ([], [])
    assert (shelf.folder / "got" / "a.txt").read_text() == "a"
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    assert await kept.names() == ["downloads/a.txt"]


async def test_what_the_owner_says_of_a_content_counts_for_it(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    edited = await kept.library.edit(file_id, tags=["fine"], audience="friends")
    assert (edited.tags, edited.path) == (["fine"], "downloads/a.txt")
    assert await kept.library.find(file_id) is None
    assert (await kept.library.search("fine", "", public_only=False)).count == 1
    assert (await kept.library.search(file_id[:16], "", public_only=False)).count == 0


# What is not


@pytest.mark.parametrize("settings", [{"share_downloads": False}, {"cache_size": 0}, {"cache_size": 3}])
async def test_nothing_is_kept_where_it_is_not_wanted_or_does_not_fit(shelf: Shelf, settings: dict[str, int]) -> None:
    kept = await shelf.open(**settings)
    await finish(kept, shelf.folder / "got" / "a.txt", "four")
    assert (await kept.names(), kept_in(shelf)) == ([], [])


@pytest.mark.parametrize("name", [".hidden", "id_rsa", "secrets.kdbx", "half.part"])
async def test_what_is_never_shared_by_its_name_is_not_offered_on(shelf: Shelf, name: str) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / name, "a")
    await finish(kept, shelf.folder / "got" / "harmless", "b", name=name)
    await finish(kept, shelf.folder / "got" / ".ssh" / "known", "c")
    assert (await kept.names(), kept_in(shelf)) == ([], [])


async def test_a_download_into_a_share_is_the_share_s(shelf: Shelf) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.share / "a.txt", "a")
    await kept.until("share/a.txt")
    assert kept_in(shelf) == []


async def test_a_download_into_a_folder_that_the_owner_unshared_is_not_offered(shelf: Shelf) -> None:
    write(shelf.share / "private" / "x", "x")
    kept = await shelf.open()
    await kept.library.unshare_path(str(shelf.share / "private"))
    await finish(kept, shelf.share / "private" / "a.txt", "a")
    assert (await kept.names(), kept_in(shelf)) == ([], [])


async def test_what_a_share_offers_is_not_kept_besides(shelf: Shelf) -> None:
    write(shelf.share / "own.txt", "same")
    kept = await shelf.open()
    await kept.library.edit(sha256("same"), audience="friends")
    await finish(kept, shelf.folder / "got" / "a.txt", "same")
    assert (await kept.names(), kept_in(shelf)) == (["share/own.txt"], [])
    assert await kept.library.find(sha256("same")) is None


async def test_what_is_shared_later_is_the_owner_s_alone(shelf: Shelf) -> None:
    kept = await shelf.open(**SOON)
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a")
    assert await kept.library.share(str(path)) == file_id
    await kept.until("a.txt")
    assert (await read(kept, file_id), path.read_text()) == (b"a", "a")
    assert await cached(kept) == []


async def test_what_is_unshared_is_dropped_and_not_kept_again(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a")
    await kept.library.unshare(file_id)
    assert (await kept.names(), kept_in(shelf), path.read_text()) == ([], [], "a")
    kept = await shelf.reopen()
    await finish(kept, path, "a")
    assert (await kept.names(), kept_in(shelf)) == ([], [])


async def test_what_was_unshared_and_shared_again_may_be_kept_again(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a")
    await kept.library.unshare(file_id)
    await kept.library.share(str(path))
    await kept.library.unshare_path(str(path))
    other = shelf.folder / "got" / "elsewhere" / "a.txt"
    await finish(kept, other, "a")
    assert await kept.names() == ["downloads/a.txt"]


async def test_unsharing_with_deletion_leaves_the_download_where_it_is(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a")
    await kept.library.unshare(file_id, delete=True)
    assert (kept_in(shelf), path.read_text()) == ([], "a")


# What goes first


async def test_what_was_used_least_recently_goes_first(shelf: Shelf) -> None:
    kept = await shelf.open(cache_size=100)
    first = await finish(kept, shelf.folder / "got" / "first", "1" * 40)
    kept.clock.ahead += 10
    await finish(kept, shelf.folder / "got" / "second", "2" * 40)
    kept.clock.ahead += 10
    await read(kept, first)
    kept.clock.ahead += 10
    await finish(kept, shelf.folder / "got" / "third", "3" * 40)
    assert await cached(kept) == ["third", "first"]
    assert await kept.names() == ["downloads/first", "downloads/third"]
    assert len(kept_in(shelf)) == 2
    assert (shelf.folder / "got" / "second").read_text() == "2" * 40


async def test_a_lower_cap_counts_from_the_next_start_and_so_does_what_was_served(shelf: Shelf) -> None:
    kept = await shelf.open(cache_size=100)
    first = await finish(kept, shelf.folder / "got" / "first", "1" * 40)
    await finish(kept, shelf.folder / "got" / "second", "2" * 40)
    kept.clock.ahead += 10
    await read(kept, first)
    kept = await shelf.reopen(cache_size=50)
    assert (await cached(kept), await kept.names(), kept_in(shelf)) == (["first"], ["downloads/first"], [first])


@pytest.mark.parametrize("settings", [{"share_downloads": False}, {"cache_size": 0}])
async def test_turned_off_it_is_emptied_at_the_next_start(shelf: Shelf, settings: dict[str, int]) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await finish(kept, shelf.folder / "got" / "empty", "")
    assert len(await kept.names()) == 2
    kept = await shelf.reopen(**settings)
    assert (await kept.names(), kept_in(shelf)) == ([], [])
    assert (shelf.folder / "got" / "a.txt").read_text() == "a"


async def test_what_is_dropped_while_it_is_served_is_served_to_its_end(shelf: Shelf) -> None:
    kept = await shelf.open(cache_size=100)
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a" * 60)
    path.unlink()
    being_served = await kept.library.open_for_serving(file_id)
    try:
        await finish(kept, shelf.folder / "got" / "b.txt", "b" * 60)
        assert await cached(kept) == ["b.txt"]
        assert type(being_served.version).of(being_served.fd) == being_served.version
        assert os.read(being_served.fd, 100) == b"a" * 60
    finally:
        os.close(being_served.fd)


def test_no_more_goes_than_has_to() -> None:
    files = [Cached(name, b"", (size, 0, 0), 0, 0, True) for name, size in (("new", 5), ("middle", 3), ("old", 2))]
    assert surplus(files, 10, 3) == []
    assert [file.file_id for file in surplus(files, 9, 3)] == ["old"]
    assert [file.file_id for file in surplus(files, 7, 3)] == ["old", "middle"]
    assert [file.file_id for file in surplus(files, 10, 1)] == ["old", "middle"]
    assert len(surplus(files, 0, 0)) == 3
    assert surplus([], 0, 0) == []


# When the disk changes


async def test_a_file_edited_in_place_is_never_served_and_is_dropped_when_asked_for(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "proven")
    with path.open("r+") as file:
        file.write("edited")
    os.utime(path, (1, 1))
    with pytest.raises(Conflict):
        await kept.library.open_for_serving(file_id)
    await ended(kept)
    assert (await kept.offered(), kept_in(shelf), path.read_text()) == ([], [], "edited")


async def test_a_file_edited_in_place_is_withdrawn_although_nobody_asks(shelf: Shelf) -> None:
    kept = await shelf.open(**SOON)
    path = shelf.folder / "got" / "a.txt"
    await finish(kept, path, "proven")
    with path.open("a") as file:
        file.write(" and more")
    await kept.until()
    assert path.read_text() == "proven and more"


async def test_a_file_that_its_owner_deletes_is_still_offered(shelf: Shelf) -> None:
    kept = await shelf.open()
    path = shelf.folder / "got" / "a.txt"
    file_id = await finish(kept, path, "a")
    path.unlink()
    kept = await shelf.reopen()
    assert await read(kept, file_id) == b"a"


async def test_a_file_that_is_gone_or_another_before_it_is_taken_up_is_not_offered(shelf: Shelf) -> None:
    kept = await shelf.open()
    got = shelf.folder / "got"
    write(got / "longer", "longer than it was")
    (got / "link").symlink_to("longer")
    for name in ("missing", "longer", "link", "folder"):
        kept.library.offer_on(sha256(name), 3, name, str(got / name))
    await ended(kept)
    assert (await kept.names(), kept_in(shelf)) == ([], [])


async def test_a_folder_behind_a_link_is_as_good_as_another(shelf: Shelf) -> None:
    (shelf.folder / "real").mkdir()
    (shelf.folder / "link").symlink_to("real")
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "link" / "a.txt", "a")
    assert await read(kept, file_id) == b"a"


async def test_a_link_leads_to_a_share_all_the_same(shelf: Shelf) -> None:
    shelf.share.mkdir()
    (shelf.folder / "link").symlink_to("share")
    kept = await shelf.open()
    await finish(kept, shelf.folder / "link" / "a.txt", "a")
    await kept.until("share/a.txt")
    assert kept_in(shelf) == []


async def test_a_download_on_another_disk_is_copied(shelf: Shelf, other_disk: Path) -> None:
    kept = await shelf.open()
    path = other_disk / "a.txt"
    content = os.urandom(3_000_000)
    file_id = await finish(kept, path, content)
    copy = shelf.folder / "data" / "cache" / file_id / "a.txt"
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == (content, path.stat().st_mtime_ns)
    path.write_bytes(b"edited")
    assert await read(kept, file_id) == content[: 1 << 20]


async def test_a_copy_is_what_its_id_says_or_is_not_kept(shelf: Shelf, other_disk: Path) -> None:
    kept = await shelf.open()
    write(other_disk / "a.txt", "edited since")
    kept.library.offer_on(sha256("as it came  "), 12, "a.txt", str(other_disk / "a.txt"))
    await ended(kept)
    assert (await kept.names(), kept_in(shelf)) == ([], [])


def test_a_copy_that_is_to_stop_stops_and_leaves_nothing(tmp_path: Path, other_disk: Path) -> None:
    file_id = write(other_disk / "a.txt", "a")
    finished = Finished(file_id, 1, b"a.txt", os.fsencode(other_disk / "a.txt"))
    with pytest.raises(InterruptedError):
        adopt(os.fsencode(tmp_path), finished, SHA256, lambda: True)
    assert os.listdir(tmp_path) == []


async def test_a_copy_never_fills_the_disk(shelf: Shelf) -> None:
    data = shelf.folder / "data"
    data.mkdir(mode=0o700)
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "tmpfs", data], capture_output=True)
    if mounting.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        kept = await shelf.open()
        await finish(kept, shelf.folder / "got" / "a.txt", "does not fit besides what is to stay free")
        assert (await kept.names(), kept_in(shelf)) == ([], [])
        file_id = await finish(kept, data / "downloads" / "b.txt", "a link needs no room")
        assert await read(kept, file_id) == b"a link needs no room"
        await shelf.close()
    finally:
        subprocess.run(["umount", "-l", data], check=True)


async def test_what_a_kill_has_left_is_cleared_up(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await shelf.close()
    orphan = write(shelf.folder / "data" / "cache" / sha256("orphan") / "orphan", "orphan")
    write(shelf.folder / "data" / "cache" / "notes.txt", "somebody's own")
    kept = await shelf.open()
    assert orphan not in kept_in(shelf)
    assert kept_in(shelf) == sorted([file_id, "notes.txt"])
    assert await kept.names() == ["downloads/a.txt"]


async def test_what_a_lost_database_knew_is_cleared_up(shelf: Shelf) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await shelf.close()
    for path in (shelf.folder / "data").glob("library.db*"):
        path.unlink()
    kept = await shelf.open()
    assert (await kept.names(), kept_in(shelf)) == ([], [])


async def test_a_cache_that_was_removed_by_hand_is_no_longer_offered(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await shelf.close()
    shutil.rmtree(shelf.folder / "data" / "cache")
    kept = await shelf.open()
    assert await kept.offered() == []
    with pytest.raises(NotFound):
        await kept.library.open_for_serving(file_id)
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    assert await kept.names() == ["downloads/a.txt"]


async def test_a_link_in_the_place_of_the_cache_is_not_followed(shelf: Shelf) -> None:
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await shelf.close()
    elsewhere = shelf.folder / "elsewhere"
    (shelf.folder / "data" / "cache").rename(elsewhere)
    (shelf.folder / "data" / "cache").symlink_to(elsewhere)
    before = sorted(os.listdir(elsewhere))
    kept = await shelf.open()
    await finish(kept, shelf.folder / "got" / "b.txt", "b")
    assert (await kept.offered(), sorted(os.listdir(elsewhere))) == ([], before)


async def test_a_data_folder_that_moved_takes_its_cache_along(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await finish(kept, shelf.folder / "got" / "a.txt", "a")
    await shelf.close()
    moved = Shelf(shelf.folder / "moved")
    moved.folder.mkdir()
    (shelf.folder / "data").rename(moved.folder / "data")
    try:
        kept = await moved.open()
        assert await read(kept, file_id) == b"a"
    finally:
        await moved.close()


async def test_ids_of_another_algorithm_are_dropped(shelf: Shelf) -> None:
    kept = await shelf.open(SHA256)
    await finish(kept, shelf.folder / "got" / "a.txt", "a")
    kept = await shelf.reopen(algorithm_named("blake3"))
    assert (await kept.offered(), kept_in(shelf)) == ([], [])


async def test_a_file_whose_bytes_the_disk_lost_is_dropped(shelf: Shelf) -> None:
    kept = await shelf.open(scrub_interval=0.05, **SOON)
    path = shelf.folder / "got" / "a.txt"
    await finish(kept, path, "proven")
    found = path.stat()
    path.write_bytes(b"rotten")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    await kept.until()
    async with asyncio.timeout(PATIENCE):
        while await cached(kept):
            await kept.library.cache.look()
    assert kept_in(shelf) == []


def test_an_empty_cache_brings_nothing_into_memory() -> None:
    told = "import sys, peer.app; print([name for name in sys.modules if name.startswith('peer.shares.cache_')])"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['peer.shares.cache_routes']"


def _buffer() -> memoryview:
    return memoryview(bytearray(1 << 20))


def _copy_to(part: memoryview, data: bytes) -> int:
    part[: len(data)] = data
    return len(data)
