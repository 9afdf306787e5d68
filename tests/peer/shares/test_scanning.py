"""A library and the disk: what is there is offered, what changes follows, nothing is hashed without need."""

import asyncio
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer.shares import store
from peer.shares.upkeep import Upkeep
from tests.peer.shares.conftest import Shelf
from tests.peer.shares.trees import LONG_NAME, age, become_nobody, booby_trapped, plant, sha256, write

TRAPPED = ["share/caf\\xe9 \\xff.txt", "share/empty", "share/plain.txt", f"share/sub/{LONG_NAME}"]


async def test_a_tree_is_offered_as_it_is(shelf: Shelf) -> None:
    expected = plant(shelf.share, 300)
    kept = await shelf.open()
    assert await kept.names() == sorted(f"share/{path}" for path in expected)
    assert {path: await kept.id_of(f"share/{path}") for path in expected} == expected
    assert kept.library.shared_files == 300
    assert kept.library.shared_bytes == sum((shelf.share / path).stat().st_size for path in expected)
    assert kept.library.hashed == 300 - 15  # the empty ones need not be read


async def test_traps_are_passed_by(shelf: Shelf) -> None:
    shelf.share.mkdir()
    booby_trapped(shelf.share, shelf.folder / "secret")
    kept = await shelf.open()
    assert await kept.names() == TRAPPED
    again = await shelf.reopen()
    assert (await again.names(), again.library.hashed) == (TRAPPED, 0)


async def test_the_daemons_own_folder_is_not_shared_by_a_share_around_it(shelf: Shelf) -> None:
    write(shelf.share / "file")
    kept = await shelf.open(shared_directory=str(shelf.folder))
    assert await kept.names() == [f"{shelf.folder.name}/share/file"]


async def test_hidden_files_on_demand(shelf: Shelf) -> None:
    write(shelf.share / ".hidden" / "file")
    write(shelf.share / ".env", "key")
    kept = await shelf.open(include_hidden=True)
    assert await kept.names() == ["share/.hidden/file"]
    kept = await shelf.reopen()
    assert await kept.names() == []


async def test_a_restart_hashes_nothing_again(shelf: Shelf) -> None:
    plant(shelf.share, 200)
    await shelf.open()
    again = await shelf.reopen()
    assert (again.library.shared_files, again.library.hashed) == (200, 0)
    assert again.told == []


async def test_only_what_changed_meanwhile_is_hashed_at_the_next_start(shelf: Shelf) -> None:
    plant(shelf.share, 100)
    await shelf.open()
    await shelf.close()
    write(shelf.share / "folder 0" / "inner" / "file 1.txt", "other")
    write(shelf.share / "new", "new")
    (shelf.share / "folder 1" / "inner" / "file 50.txt").unlink()
    again = await shelf.open()
    assert (again.library.shared_files, again.library.hashed) == (100, 2)


async def test_files_come_and_go_while_it_runs(shelf: Shelf) -> None:
    write(shelf.share / "first")
    kept = await shelf.open()
    write(shelf.share / "second", "2")
    await kept.until("share/first", "share/second")
    write(shelf.share / "second", "another two")
    await kept.eventually(lambda: kept.kinds()["file_added"] == 3)
    assert await kept.id_of("share/second") == sha256("another two")
    (shelf.share / "first").unlink()
    await kept.until("share/second")
    await kept.eventually(lambda: (kept.told[-1][0], kept.told[-1][1].filename) == ("file_removed", "first"))


async def test_new_folders_are_seen_with_all_that_is_in_them(shelf: Shelf) -> None:
    shelf.share.mkdir()
    kept = await shelf.open()
    outside = shelf.folder / "outside"
    plant(outside, 60)
    write(shelf.share / "a" / "b" / "c" / "deep", "deep")
    shutil.copytree(outside, shelf.share / "copied")
    await kept.eventually(lambda: kept.library.shared_files == 61)
    write(shelf.share / "a" / "b" / "c" / "later", "later")
    await kept.eventually(lambda: kept.library.shared_files == 62)
    shutil.rmtree(shelf.share / "a")
    await kept.eventually(lambda: kept.library.shared_files == 60)


async def test_odd_names_are_seen_while_it_runs(shelf: Shelf) -> None:
    shelf.share.mkdir()
    kept = await shelf.open()
    booby_trapped(shelf.share, shelf.folder / "secret")
    await kept.until(*TRAPPED)
    (shelf.share / "sub" / LONG_NAME).unlink()
    (shelf.share / os.fsdecode(b"caf\xe9 \xff.txt")).unlink()
    await kept.until("share/empty", "share/plain.txt")


async def test_a_file_that_grows_counts_only_once_it_rests(shelf: Shelf) -> None:
    shelf.share.mkdir()
    kept = await shelf.open(settle=0.4)
    with (shelf.share / "growing").open("wb", buffering=0) as file:
        for _ in range(6):
            file.write(b"more ")
            await asyncio.sleep(0.1)
            assert await kept.names() == []
    await kept.until("share/growing")
    assert (await kept.id_of("share/growing"), kept.library.hashed) == (sha256(b"more " * 6), 1)


async def test_files_from_the_future_and_from_long_ago(shelf: Shelf) -> None:
    for name, time in (("future", 2**33), ("year 2400", 13_569_465_600), ("past", 1), ("before 1970", -(10**8))):
        write(shelf.share / name, name)
        os.utime(shelf.share / name, (time, time))
    kept = await shelf.open()
    assert await kept.names() == ["share/before 1970", "share/future", "share/past", "share/year 2400"]
    os.utime(shelf.share / "future", (2**33 + 5, 2**33 + 5))
    await kept.eventually(lambda: kept.library.hashed == 5)


async def test_a_renamed_file_is_not_hashed_again(shelf: Shelf) -> None:
    write(shelf.share / "before", "content")
    kept = await shelf.open()
    (shelf.share / "before").rename(shelf.share / "after")
    await kept.until("share/after")
    assert kept.library.hashed == 1
    assert await kept.id_of("share/after") == sha256("content")


async def test_a_renamed_tree_is_not_hashed_again(shelf: Shelf) -> None:
    expected = plant(shelf.share / "before", 200)
    kept = await shelf.open()
    hashed = kept.library.hashed
    (shelf.share / "before").rename(shelf.share / "after")
    await kept.until(*(f"share/after/{path}" for path in expected))
    assert kept.library.hashed == hashed
    assert {path: await kept.id_of(f"share/after/{path}") for path in expected} == expected


async def test_a_tree_renamed_while_it_did_not_run_is_not_hashed_again(shelf: Shelf) -> None:
    expected = plant(shelf.share / "before", 200)
    await shelf.open()
    await shelf.close()
    (shelf.share / "before").rename(shelf.share / "zafter")
    kept = await shelf.open()
    assert await kept.names() == sorted(f"share/zafter/{path}" for path in expected)
    assert kept.library.hashed == 0


async def test_a_hard_link_is_not_hashed_again(shelf: Shelf) -> None:
    write(shelf.share / "one", "content")
    kept = await shelf.open()
    os.link(shelf.share / "one", shelf.share / "two")
    await kept.until("share/one", "share/two")
    assert kept.library.hashed == 1


async def test_another_file_with_the_inode_size_and_time_of_one_that_is_gone_is_not_mistaken(shelf: Shelf) -> None:
    """As when an archive is unpacked again in another order."""
    write(shelf.share / "old", "aaaa")
    os.utime(shelf.share / "old", (1000, 1000))
    kept = await shelf.open()
    with (shelf.share / "old").open("r+b") as file:
        file.write(b"bbbb")
    os.utime(shelf.share / "old", (1000, 1000))
    (shelf.share / "old").rename(shelf.share / "new")
    await kept.until("share/new")
    assert await kept.id_of("share/new") == sha256("bbbb")


async def test_a_file_moved_between_shares_is_not_hashed_again(shelf: Shelf) -> None:
    write(shelf.share / "file", "content")
    (shelf.folder / "other").mkdir()
    kept = await shelf.open(shares=(str(shelf.folder / "other"),))
    (shelf.share / "file").rename(shelf.folder / "other" / "moved")
    await kept.until("other/moved")
    assert kept.library.hashed == 1


async def test_a_file_that_becomes_something_else_is_withdrawn(shelf: Shelf) -> None:
    for name in ("folder", "link", "fifo", "stays"):
        write(shelf.share / name, name)
    kept = await shelf.open()
    for name in ("folder", "link", "fifo"):
        (shelf.share / name).unlink()
    write(shelf.share / "folder" / "inside", "inside")
    (shelf.share / "link").symlink_to("stays")
    os.mkfifo(shelf.share / "fifo")
    await kept.until("share/folder/inside", "share/stays")


async def test_a_burst_is_noticed_whole_and_told_in_part(shelf: Shelf) -> None:
    shelf.share.mkdir()
    kept = await shelf.open()
    plant(shelf.share / "burst", 3000, per_folder=3000)
    await kept.eventually(lambda: kept.library.shared_files == 3000)
    assert kept.kinds()["file_added"] < 500
    shutil.rmtree(shelf.share / "burst")
    await kept.eventually(lambda: kept.library.shared_files == 0)


async def test_a_large_flat_folder(shelf: Shelf) -> None:
    plant(shelf.share, 3500, per_folder=3500)
    kept = await shelf.open()
    assert kept.library.shared_files == 3500
    await shelf.close()
    for number in range(0, 3500, 2):
        (shelf.share / "folder 0" / "inner" / f"file {number}.txt").unlink()
    write(shelf.share / "folder 0" / "inner" / "file 1.txt", "changed")
    kept = await shelf.open()
    assert (kept.library.shared_files, kept.library.hashed) == (1750, 1)


async def test_without_notices_sweeps_find_everything(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    from peer.shares.watch import NoWatch

    monkeypatch.setattr("peer.shares.scan.open_watch", lambda notice, on_trouble: NoWatch())
    monkeypatch.setattr("peer.shares.upkeep.SHORTEST_SWEEP", 0.0)
    expected = plant(shelf.share, 60)
    kept = await shelf.open()
    write(shelf.share / "new" / "file", "new")
    (shelf.share / "folder 0" / "inner" / "file 1.txt").unlink()
    shutil.rmtree(shelf.share / "folder 1")
    left = {f"share/{path}" for path in expected if path.startswith("folder 0")} - {"share/folder 0/inner/file 1.txt"}
    await kept.until("share/new/file", *left)


async def test_a_sweep_comes_from_time_to_time(shelf: Shelf) -> None:
    write(shelf.share / "file")
    kept = await shelf.open(sweep_interval=0.2)
    upkeep: Upkeep = kept.library._upkeep
    kept.library._scan._watch.close()
    write(shelf.share / "unnoticed", "unnoticed")
    await upkeep.tick()
    await kept.until("share/file", "share/unnoticed")


async def test_what_may_not_be_read_is_withdrawn_and_comes_back_unhashed(caplog: pytest.LogCaptureFixture) -> None:
    # A folder that everybody may enter, unlike those of pytest.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shelf = Shelf(Path(folder))
        plant(shelf.share / "closed", 20)
        write(shelf.share / "open" / "file", "file")
        kept = await shelf.open()
        hashed = kept.library.hashed
        await kept.library._scan._see(become_nobody)
        (shelf.share / "closed").chmod(0o000)
        await kept.until("share/open/file")
        assert await kept.offered() == ["share/open/file"]
        (shelf.share / "closed").chmod(0o755)
        await kept.eventually(lambda: kept.library.shared_files == 21)
        assert kept.library.hashed == hashed
        await shelf.close()


async def test_a_share_that_may_not_be_entered_is_withdrawn_at_once(shelf: Shelf) -> None:
    write(shelf.share / "file", "file")
    kept = await shelf.open()
    shelf.folder.chmod(0o000)
    await kept.library._scan._see(become_nobody)
    kept.library._scan.sweep()
    await kept.eventually(lambda: kept.library.shared_files == 0)
    shelf.folder.chmod(0o700)


async def test_a_vanished_root_is_not_ten_thousand_deletions(shelf: Shelf) -> None:
    plant(shelf.share, 100)
    kept = await shelf.open()
    hashed = kept.library.hashed
    shelf.share.rename(shelf.folder / "elsewhere")
    await kept.until()
    assert kept.library.shared_files == 100
    assert kept.kinds()["file_removed"] == 0
    assert [share.state for share in await kept.library.shares()] == ["missing"]
    kept.clock.ahead = store.MISSING_GRACE - 10
    await kept.library._upkeep.tick()
    assert kept.library.shared_files == 100
    kept.clock.ahead = store.MISSING_GRACE + 10
    await kept.library._upkeep.tick()
    assert kept.library.shared_files == 0
    (shelf.folder / "elsewhere").rename(shelf.share)
    await kept.library._upkeep.tick()
    await kept.eventually(lambda: kept.library.shared_files == 100)
    assert kept.library.hashed == hashed
    assert [share.state for share in await kept.library.shares()] == ["online"]


async def test_a_root_that_gave_way_to_an_empty_folder_is_a_disk_that_is_away(shelf: Shelf) -> None:
    plant(shelf.share, 50)
    kept = await shelf.open()
    hashed = kept.library.hashed
    shelf.share.rename(shelf.folder / "disk")
    shelf.share.mkdir()
    kept.library._scan.sweep()
    await kept.eventually(lambda: kept.library._scan.absent == {1})
    assert (kept.library.shared_files, await kept.names()) == (50, [])
    shelf.share.rmdir()
    (shelf.folder / "disk").rename(shelf.share)
    await kept.library._upkeep.tick()
    await kept.eventually(lambda: not kept.library._scan.absent)
    await kept.library.quiet()
    assert (kept.library.shared_files, kept.library.hashed) == (50, hashed)


async def test_a_share_that_is_away_at_the_start(shelf: Shelf) -> None:
    plant(shelf.share, 30)
    await shelf.open()
    await shelf.close()
    shelf.share.rename(shelf.folder / "elsewhere")
    kept = await shelf.open()
    assert (kept.library.shared_files, await kept.names()) == (30, [])
    assert not shelf.share.exists()
    (shelf.folder / "elsewhere").rename(shelf.share)
    await kept.library._upkeep.tick()
    await kept.eventually(lambda: not kept.library._scan.absent)
    await kept.library.quiet()
    assert (len(await kept.names()), kept.library.hashed) == (30, 0)


async def test_a_root_that_gave_way_to_another_folder_is_that_folder(shelf: Shelf) -> None:
    write(shelf.share / "old", "old")
    kept = await shelf.open()
    shelf.share.rename(shelf.folder / "aside")
    write(shelf.share / "new", "new")
    kept.library._scan.sweep()
    await kept.until("share/new")
    assert await kept.offered() == ["share/new"]


async def test_files_deleted_one_by_one_are_deletions(shelf: Shelf) -> None:
    plant(shelf.share, 30)
    kept = await shelf.open()
    for folder in shelf.share.iterdir():
        shutil.rmtree(folder)
    await kept.eventually(lambda: kept.library.shared_files == 0)
    assert kept.library._scan.absent == set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, kept mounted on a folder beside the share."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", folder):
        pytest.skip("needs the right to mount a disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def mount(*arguments: str | Path) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


async def test_a_disk_inside_a_share_that_is_taken_away_is_not_deletions(shelf: Shelf, disk: Path) -> None:
    write(shelf.share / "mine", "mine")
    place = shelf.share / "media" / "disk"
    place.mkdir(parents=True)
    plant(disk, 40)
    mount("--bind", disk, place)
    try:
        kept = await shelf.open()
        assert kept.library.shared_files == 41
        hashed = kept.library.hashed
        subprocess.run(["umount", "-l", place], check=True)
        kept.library._scan.sweep()
        await kept.until("share/mine")
        assert kept.library.shared_files == 41
        place.rmdir()  # as automounters do
        kept.library._scan.sweep()
        await kept.library.quiet()
        assert kept.library.shared_files == 41
        place.mkdir()
        mount("--bind", disk, place)
        kept.library._scan.sweep()
        await kept.library.quiet()
        assert (len(await kept.names()), kept.library.hashed) == (41, hashed)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


async def test_a_share_that_is_a_disk(shelf: Shelf, disk: Path) -> None:
    """Something is mounted over it, and taken away again: neither gives any notice."""
    on_the_disk = [f"share/{path}" for path in plant(disk, 20)]
    write(shelf.share / "under the disk", "hidden by it")
    kept = await shelf.open()
    mount("--bind", disk, shelf.share)
    try:
        await kept.library._upkeep.tick()
        await kept.library._upkeep.tick()
        await kept.until(*on_the_disk)
        hashed = kept.library.hashed
    finally:
        subprocess.run(["umount", "-l", shelf.share], check=True)
    await kept.library._upkeep.tick()
    await kept.until("share/under the disk")
    assert await kept.offered() == sorted([*on_the_disk, "share/under the disk"])
    assert kept.library.hashed == hashed


async def test_an_empty_disk_in_place_of_a_full_one_is_not_deletions(shelf: Shelf) -> None:
    """Device and inode of the second are those that the first had."""
    shelf.share.mkdir()
    if mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", shelf.share):
        pytest.skip("needs the right to mount a disk")
    try:
        plant(shelf.share, 20)
        kept = await shelf.open()
        assert kept.library.shared_files == 20
        subprocess.run(["umount", "-l", shelf.share], check=True)
        assert mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", shelf.share) == 0
        kept.library._scan.sweep()
        await kept.library.quiet()
        assert kept.library.shared_files == 20
        write(shelf.share / "new", "a disk that is in use is believed")
        kept.library._scan.sweep()
        await kept.until("share/new")
    finally:
        await shelf.close()
        subprocess.run(["umount", "-l", shelf.share], check=True)


async def test_a_tree_of_five_thousand_files(shelf: Shelf) -> None:
    expected = plant(shelf.share, 5000)
    kept = await shelf.open()
    assert kept.library.shared_files == 5000
    found = await kept.library.search("", "", limit=10)
    assert found.count == len(set(expected.values()))
    age(shelf.share)
    kept.library._scan.sweep()
    await kept.eventually(lambda: kept.library.hashed >= 2 * (5000 - 250))
    await kept.library.quiet()
    assert kept.library.shared_files == 5000


async def test_a_database_without_room_is_no_end(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.runtime.tasks.FIRST_BACKOFF", 0.01)
    shelf.share.mkdir()
    kept = await shelf.open()
    limit = "PRAGMA max_page_count = {}"
    await kept.library._database.write(lambda connection: connection.execute(limit.format(40)).fetchall())
    plant(shelf.share, 400)
    await kept.eventually(lambda: kept.library._jobs.states()[0].failures > 0)
    assert kept.library.shared_files < 400
    assert (await kept.library.search("", "")).count >= 0
    await kept.library._database.write(lambda connection: connection.execute(limit.format(40_000)).fetchall())
    await kept.eventually(lambda: kept.library.shared_files == 400)


async def test_what_the_wire_cannot_tell_of_is_left_out_and_counted(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shoal.shares")
    write(shelf.share / "file")
    fd = os.open(shelf.share, os.O_RDONLY)
    for _ in range(6):
        os.mkdir(b"\xff" * 250, dir_fd=fd)
        inner = os.open(b"\xff" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("too deep", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    kept = await shelf.open()
    assert await kept.names() == ["share/file"]
    assert kept.library._scan._omissions.of(1) == {"path_too_long": 1}
    for _ in range(2):
        kept.library._scan.sweep()
        await kept.library.quiet()
    told = [record for record in caplog.records if record.message == "not everything is offered"]
    assert [record.path_too_long for record in told] == [1]  # type: ignore[attr-defined]
