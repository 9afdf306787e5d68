"""The library as the rest of the daemon uses it: sharing, unsharing, serving, receiving."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.content.hashing import SHA256
from common.database.sqlite import DatabaseUnusable
from common.errors import Conflict, Forbidden, Invalid, NoSpace, NotFound, Refusal, TooLarge
from common.runtime.kinds import ConfigError
from peer.shares import listing
from peer.shares.library import DATABASE
from tests.peer.shares.conftest import Kept, Shelf
from tests.peer.shares.trees import children, plant, sha256, write
from tests.support.waiting import PATIENCE


async def served(kept: Kept, file_id: str) -> bytes:
    """What a download of this file would send."""
    found = await kept.library.open_for_serving(file_id)
    try:
        return os.read(found.fd, 1 << 20)
    finally:
        os.close(found.fd)


async def refusal(kept: Kept, file_id: str) -> tuple[type[Refusal], str]:
    with pytest.raises(Refusal) as refused:
        await kept.library.open_for_serving(file_id)
    return type(refused.value), refused.value.code


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


# Sharing


async def test_a_file_is_shared_and_its_id_told_once_it_is_proven(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await kept.library.share(_written(shelf.folder / "elsewhere" / "tune.mp3", "la la"), tags=["cool"])
    assert file_id == sha256("la la")
    assert await kept.names() == ["tune.mp3"]
    found = await kept.library.find(file_id)
    assert found is not None
    assert (found.tags, found.category, found.is_available) == (["cool"], "audio", True)
    assert kept.kinds()["file_shared"] >= 1
    again = await shelf.reopen()
    assert (await again.names(), again.library.hashed) == (["tune.mp3"], 0)


async def test_a_folder_is_shared_and_remembered(shelf: Shelf) -> None:
    kept = await shelf.open()
    plant(shelf.folder / "music", 30)
    assert await kept.library.share(str(shelf.folder / "music")) is None
    await kept.eventually(lambda: kept.library.shared_files == 30)
    again = await shelf.reopen()
    assert again.library.shared_files == 30
    assert {share.label for share in await again.library.shares()} == {"share", "music"}


async def test_the_same_shared_twice_is_one(shelf: Shelf) -> None:
    path = _written(shelf.folder / "tune.mp3", "la")
    kept = await shelf.open()
    assert await kept.library.share(path) == await kept.library.share(path)
    assert (kept.library.shared_files, len(await kept.library.shares())) == (1, 2)


async def test_a_file_of_a_share_needs_no_share_of_its_own(shelf: Shelf) -> None:
    path = _written(shelf.share / "sub" / "tune.mp3", "la")
    kept = await shelf.open()
    assert await kept.library.share(path, tags=["cool"]) == sha256("la")
    assert [share.label for share in await kept.library.shares()] == ["share"]
    assert (await kept.library.search("cool", "")).count == 1


async def test_a_file_is_shared_through_a_link_as_what_it_is(shelf: Shelf) -> None:
    _written(shelf.folder / "real.txt", "real")
    (shelf.folder / "link.txt").symlink_to("real.txt")
    kept = await shelf.open()
    assert await kept.library.share(str(shelf.folder / "link.txt")) == sha256("real")
    assert await kept.names() == ["real.txt"]


async def test_a_file_just_written_is_waited_for(shelf: Shelf) -> None:
    kept = await shelf.open(settle=0.3)
    path = _written(shelf.folder / "fresh.txt", "fresh")
    assert await kept.library.share(path) == sha256("fresh")


async def test_an_empty_file_is_a_file(shelf: Shelf) -> None:
    kept = await shelf.open()
    assert await kept.library.share(_written(shelf.folder / "empty", "")) == SHA256.empty_id
    assert await served(kept, SHA256.empty_id) == b""


@pytest.mark.parametrize(
    ("path", "family", "code"),
    [
        ("relative/path", Invalid, "invalid_path"),
        ("{folder}/with\0nul", Invalid, "invalid_path"),
        ("{folder}/absent", NotFound, "invalid_path"),
        ("{folder}/data", Forbidden, "path_not_shareable"),
        ("{folder}/data/library.db", Forbidden, "path_not_shareable"),
        ("{folder}/link to data", Forbidden, "path_not_shareable"),
        ("{folder}/.ssh", Forbidden, "path_not_shareable"),
        ("{folder}/.ssh/config", Forbidden, "path_not_shareable"),
        ("{folder}/server.pem", Forbidden, "path_not_shareable"),
        ("{folder}/fifo", Forbidden, "path_not_shareable"),
        ("{folder}/socket", Forbidden, "path_not_shareable"),
        ("{folder}/movie.part", Forbidden, "path_not_shareable"),
        ("/dev/null", Forbidden, "path_not_shareable"),
        ("/proc", Forbidden, "path_not_shareable"),
        ("/proc/self/mem", Forbidden, "path_not_shareable"),
        ("/sys/kernel", Forbidden, "path_not_shareable"),
        ("{folder}/" + "n" * 300, NotFound, "invalid_path"),
        ("{folder}/loop/x", NotFound, "invalid_path"),
    ],
)
async def test_what_cannot_be_shared(shelf: Shelf, path: str, family: type[Refusal], code: str) -> None:
    kept = await shelf.open()
    for name in (".ssh/config", "server.pem", "movie.part"):
        write(shelf.folder / name)
    (shelf.folder / "link to data").symlink_to("data")
    (shelf.folder / "loop").symlink_to("loop")
    os.mkfifo(shelf.folder / "fifo")
    with _socket(shelf.folder / "socket"), pytest.raises(Refusal) as refused:
        await kept.library.share(path.format(folder=shelf.folder))
    assert (type(refused.value), refused.value.code) == (family, code)
    assert [share.label for share in await kept.library.shares()] == ["share"]


async def test_a_configuration_that_names_what_is_never_shared_stops_the_start(shelf: Shelf) -> None:
    for path in (shelf.folder / "data", shelf.folder / ".ssh"):
        with pytest.raises(ConfigError, match="cannot be shared"):
            await shelf.open(shares=(str(path),))
    assert children() == set()


@pytest.mark.parametrize("path", ["/proc", "/proc/self/maps", "/sys", "/dev/null"])
async def test_neither_may_it_name_what_is_no_file(shelf: Shelf, path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path.removesuffix('self/maps')}.* cannot be shared: it "):
        await shelf.open(shares=(path,))


async def test_a_shared_directory_that_cannot_be_made_stops_the_start(shelf: Shelf) -> None:
    with pytest.raises(ConfigError, match=r"^the shared directory /proc/absent cannot be used \(No such .*--share$"):
        await shelf.open(shared_directory="/proc/absent")


async def test_the_shared_directory_may_be_a_single_file_but_takes_nothing_in(shelf: Shelf) -> None:
    path = _written(shelf.folder / "tune.mp3", "la")
    kept = await shelf.open(shared_directory=path)
    assert await kept.names() == ["tune.mp3"]
    with pytest.raises(Forbidden, match="Not a directory"):
        await kept.library.receive_upload("a.txt", chunks(b"a"))


async def test_the_state_of_the_system_is_left_out_of_a_share_around_it(shelf: Shelf, state: Path) -> None:
    write(shelf.share / "file", "file")
    kept = await shelf.open()
    assert await kept.names() == ["share/file"]


async def test_a_database_that_cannot_be_used_stops_the_start(shelf: Shelf) -> None:
    write(shelf.folder / "data" / DATABASE, "not a database " * 1000)
    with pytest.raises(DatabaseUnusable):
        await shelf.open()


async def test_the_shared_directory_is_made_at_the_first_start(shelf: Shelf) -> None:
    kept = await shelf.open()
    assert shelf.share.is_dir()
    assert [(share.label, share.state, share.files) for share in await kept.library.shares()] == [
        ("share", "online", 0)
    ]


async def test_a_configured_share_may_be_a_single_file(shelf: Shelf) -> None:
    path = _written(shelf.folder / "tune.mp3", "la")
    kept = await shelf.open(shares=(path,))
    assert await kept.names() == ["tune.mp3"]
    (shelf.folder / "tune.mp3").unlink()
    await kept.until()
    _written(shelf.folder / "tune.mp3", "lala")
    await kept.until("tune.mp3")
    assert await kept.id_of("tune.mp3") == sha256("lala")


# Unsharing


async def test_an_unshared_file_stays_unshared_through_sweeps_restarts_edits_and_renames(shelf: Shelf) -> None:
    for name in ("tune.mp3", "copy of tune.mp3"):
        write(shelf.share / name, "la")
    write(shelf.share / "other.txt", "other")
    kept = await shelf.open()
    await kept.library.unshare(sha256("la"))
    assert await kept.names() == ["share/other.txt"]
    assert kept.kinds()["file_unshared"] == 2
    assert await refusal(kept, sha256("la")) == (NotFound, "file_not_found")
    kept.library._scan.sweep()
    await kept.library.quiet()
    assert await kept.names() == ["share/other.txt"]
    (shelf.share / "copy of tune.mp3").rename(shelf.share / "renamed.mp3")
    kept = await shelf.reopen()
    assert await kept.names() == ["share/other.txt"]
    write(shelf.share / "renamed.mp3", "edited")
    write(shelf.share / "marker", "marker")
    await kept.until("share/marker", "share/other.txt")
    assert await kept.library.share(str(shelf.share / "tune.mp3")) == sha256("la")
    await kept.until("share/marker", "share/other.txt", "share/tune.mp3")


async def test_what_is_not_offered_cannot_be_unshared(shelf: Shelf) -> None:
    kept = await shelf.open()
    with pytest.raises(NotFound):
        await kept.library.unshare("ab" * 32)
    with pytest.raises(NotFound):
        await kept.library.unshare_path(str(shelf.folder / "elsewhere"))


async def test_unsharing_may_delete_the_files(shelf: Shelf) -> None:
    for name in ("one", "two"):
        write(shelf.share / name, "same")
    write(shelf.share / "other", "other")
    kept = await shelf.open()
    await kept.library.unshare(sha256("same"), delete=True)
    assert sorted(path.name for path in shelf.share.iterdir()) == ["other"]
    assert await kept.names() == ["share/other"]


async def test_a_file_that_changed_meanwhile_is_not_deleted(shelf: Shelf) -> None:
    write(shelf.share / "file", "before")
    kept = await shelf.open()
    async with kept.library._scan.turn:
        write(shelf.share / "file", "precious")
        unsharing = asyncio.ensure_future(kept.library.unshare(sha256("before"), delete=True))
        await asyncio.sleep(0)
    await unsharing
    assert (shelf.share / "file").read_text() == "precious"


async def test_a_folder_is_unshared_by_its_path(shelf: Shelf) -> None:
    for name in ("a/one", "a/b/two", "c/three"):
        write(shelf.share / name, name)
    kept = await shelf.open()
    await kept.library.unshare_path(str(shelf.share / "a"))
    assert await kept.offered() == ["share/c/three"]
    write(shelf.share / "a" / "new", "new")
    write(shelf.share / "c" / "new", "new too")
    await kept.until("share/c/new", "share/c/three")
    kept = await shelf.reopen()
    assert await kept.names() == ["share/c/new", "share/c/three"]
    await kept.library.share(str(shelf.share / "a"))
    await kept.until("share/a/b/two", "share/a/new", "share/a/one", "share/c/new", "share/c/three")


async def test_a_share_is_unshared_by_its_path_for_good(shelf: Shelf) -> None:
    plant(shelf.share, 10)
    kept = await shelf.open()
    await kept.library.unshare_path(str(shelf.share))
    assert (kept.library.shared_files, await kept.library.shares()) == (0, [])
    kept = await shelf.reopen()
    assert kept.library.shared_files == 0
    await kept.library.share(str(shelf.share))
    await kept.eventually(lambda: kept.library.shared_files == 10)
    assert kept.library.hashed == 0


async def test_a_share_whose_folder_is_no_more_can_be_unshared(shelf: Shelf) -> None:
    plant(shelf.folder / "music", 5)
    kept = await shelf.open()
    await kept.library.share(str(shelf.folder / "music"))
    await kept.eventually(lambda: kept.library.shared_files == 5)
    (shelf.folder / "music").rename(shelf.folder / "away")
    await kept.until()
    await kept.library.unshare_path(str(shelf.folder / "music"))
    assert (kept.library.shared_files, len(await kept.library.shares())) == (0, 1)


async def test_what_was_shared_in_its_own_right_stays_when_the_folder_around_it_is_unshared(shelf: Shelf) -> None:
    for name in ("music/one", "music/jazz/two", "music/rock/three"):
        write(shelf.folder / name, name)
    music, jazz, rock = (str(shelf.folder / name) for name in ("music", "music/jazz", "music/rock"))
    kept = await shelf.open(shares=(music, jazz))
    await kept.library.share(rock)
    await kept.until("music/jazz/two", "music/one", "music/rock/three")
    await kept.library.unshare_path(music)
    await kept.until("jazz/two", "rock/three")
    kept = await shelf.reopen(shares=(music, jazz))
    await kept.until("jazz/two", "rock/three")
    await kept.library.unshare_path(jazz)
    await kept.until("rock/three")
    kept = await shelf.reopen(shares=(music,))
    await kept.until("rock/three")
    await kept.library.share(music)
    await kept.until("music/jazz/two", "music/one", "music/rock/three")


async def test_a_share_that_nothing_covered_is_untouched_by_the_end_of_the_one_around_it(shelf: Shelf) -> None:
    write(shelf.folder / "music/one", "one")
    write(shelf.folder / "music/.hidden/two", "two")
    music, hidden = str(shelf.folder / "music"), str(shelf.folder / "music/.hidden")
    kept = await shelf.open(shares=(music, hidden))
    assert await kept.names() == ["hidden/two", "music/one"]
    kept.told.clear()
    await kept.library.unshare_path(music)
    assert [(kind, file.filename) for kind, file in kept.told] == [("file_unshared", "one")]
    assert await kept.names() == ["hidden/two"]


async def test_a_share_in_a_folder_that_is_left_out_of_another_lives_on(shelf: Shelf) -> None:
    for name in ("a/one", "a/b/c/two", "a/three"):
        write(shelf.share / name, name)
    kept = await shelf.open(shares=(str(shelf.share / "a/b"), str(shelf.share / "a/one")))
    await kept.library.unshare_path(str(shelf.share / "a"))
    await kept.until("b/c/two", "one")
    write(shelf.share / "a/b/c/two", "changed")
    write(shelf.share / "a/b/c/new", "new")
    await kept.until("b/c/new", "b/c/two", "one")
    await kept.eventually(lambda: kept.library.hashed >= 5)
    assert await kept.library.share(str(shelf.share / "a/b/c/two")) == sha256("changed")
    assert await kept.library.share(str(shelf.share / "a/three")) == sha256("a/three")


async def test_to_unshare_a_folder_around_the_shares_is_refused_and_ends_none(shelf: Shelf) -> None:
    write(shelf.share / "file", "file")
    plant(shelf.folder / "music", 2)
    kept = await shelf.open(shares=(str(shelf.folder / "music"),))
    before = await kept.names()
    for path in ("/", str(shelf.folder)):
        with pytest.raises(NotFound) as refused:
            await kept.library.unshare_path(path)
        assert refused.value.code == "not_found"
    assert await kept.names() == before
    assert len(await kept.library.shares()) == 2


# Tags and audience


async def test_edits_stay_through_a_restart_and_a_change_of_the_file(shelf: Shelf) -> None:
    write(shelf.share / "tune.mp3", "la")
    kept = await shelf.open()
    edited = await kept.library.edit(sha256("la"), tags=["live", " 1959 "], audience="friends")
    assert edited.tags == ["live", "1959"]
    assert await refusal(kept, sha256("la")) == (NotFound, "file_not_found")
    kept = await shelf.reopen()
    write(shelf.share / "tune.mp3", "la la")
    await kept.eventually(lambda: kept.library.hashed == 1)
    found = await kept.library.find(sha256("la la"), public_only=False)
    assert found is not None
    assert found.tags == ["live", "1959"]
    assert await kept.library.find(sha256("la la")) is None
    with pytest.raises(NotFound):
        await kept.library.edit("ab" * 32, tags=["x"])


# Serving


async def test_what_is_served_is_what_was_proven(shelf: Shelf) -> None:
    write(shelf.share / "sub" / "tune.mp3", "la la")
    kept = await shelf.open()
    found = await kept.library.open_for_serving(sha256("la la"))
    state = os.fstat(found.fd)
    assert (found.name, found.etag) == ("tune.mp3", sha256("la la"))
    assert (found.version.size, found.version.mtime_ns, found.version.inode) == (5, state.st_mtime_ns, state.st_ino)
    assert (found.digest, found.modified) == (bytes.fromhex(found.etag), state.st_mtime_ns / 1e9)
    assert os.read(found.fd, 10) == b"la la"
    os.close(found.fd)
    await kept.library.count_download(found.etag)
    shown = await kept.library.find(found.etag)
    assert shown is not None
    assert shown.downloads == 1


async def test_a_file_that_changed_is_not_served_under_its_old_id(shelf: Shelf) -> None:
    write(shelf.share / "file", "before")
    kept = await shelf.open()
    kept.library._scan._watch.close()
    write(shelf.share / "file", "after")
    assert await refusal(kept, sha256("before")) == (Conflict, "file_changed")
    await kept.eventually(lambda: kept.library.hashed == 2)
    assert await served(kept, sha256("after")) == b"after"
    assert await refusal(kept, sha256("before")) == (NotFound, "file_not_found")


async def test_another_copy_is_served_when_one_is_gone_or_was_swapped(shelf: Shelf) -> None:
    write(shelf.folder / "secret", "secret")
    for name in ("a", "b", "c"):
        write(shelf.share / name, "same")
    kept = await shelf.open()
    kept.library._scan._watch.close()
    places = await kept.library._database.read(listing.kept, sha256("same"))
    gone, swapped, left = (os.fsdecode(place.name) for place in places)
    (shelf.share / gone).unlink()
    (shelf.share / swapped).unlink()
    (shelf.share / swapped).symlink_to(shelf.folder / "secret")
    assert await served(kept, sha256("same")) == b"same"
    await kept.until(f"share/{left}")
    (shelf.share / left).unlink()
    assert await refusal(kept, sha256("same")) == (NotFound, "file_not_found")


async def test_nothing_is_served_of_a_share_that_is_away(shelf: Shelf) -> None:
    write(shelf.share / "file", "file")
    kept = await shelf.open()
    shelf.share.rename(shelf.folder / "away")
    assert await refusal(kept, sha256("file")) == (NotFound, "file_not_found")
    await kept.until()
    found = await kept.library.find(sha256("file"))
    assert found is not None
    assert not found.is_available


async def test_what_nobody_has_is_not_found(shelf: Shelf) -> None:
    assert await refusal(await shelf.open(), "ab" * 32) == (NotFound, "file_not_found")


# The catalogue


async def test_nothing_is_announced_again_after_a_restart(shelf: Shelf) -> None:
    plant(shelf.share, 40)
    kept = await shelf.open()
    catalogue = kept.library.catalogue
    assert (catalogue.announced_version, catalogue.restarting, catalogue.changed.is_set()) == (0, True, True)
    sent = await catalogue.pending(1000)
    assert (len(sent.add), sent.remove, sent.more) == (40, [], False)
    await catalogue.mark_announced(sent, 1, complete=True)
    first_id = catalogue.catalogue_id
    catalogue = (await shelf.reopen()).library.catalogue
    assert (catalogue.catalogue_id, catalogue.announced_version, catalogue.restarting) == (first_id, 1, False)
    sent = await catalogue.pending(1000)
    assert (sent.add, sent.remove) == ([], [])


async def test_changes_are_announced_as_they_come(shelf: Shelf) -> None:
    write(shelf.share / "stays", "stays")
    write(shelf.share / "goes", "goes")
    kept = await shelf.open()
    catalogue = kept.library.catalogue
    await catalogue.mark_announced(await catalogue.pending(10), 1, complete=True)
    catalogue.changed.clear()
    (shelf.share / "goes").unlink()
    async with asyncio.timeout(PATIENCE):
        await catalogue.changed.wait()
    assert (await catalogue.pending(10)).remove == ["share/goes"]
    await catalogue.restart_catalogue()
    sent = await catalogue.pending(10)
    assert ([entry.path for entry in sent.add], sent.remove) == (["share/stays"], [])
    assert (catalogue.announced_version, catalogue.restarting) == (0, True)


# Uploads


async def test_an_upload_is_saved_and_offered_at_once(shelf: Shelf) -> None:
    kept = await shelf.open()
    file_id = await kept.library.receive_upload("../../My Tune?.mp3", chunks(b"la ", b"", b"la"))
    assert file_id == sha256("la la")
    assert (shelf.share / "My Tune_.mp3").read_bytes() == b"la la"
    assert await served(kept, file_id) == b"la la"
    assert await kept.names() == ["share/My Tune_.mp3"]
    assert kept.library.hashed == 0
    assert [kind for kind, _ in kept.told][-1] == "file_shared"
    await kept.library.quiet()
    assert kept.library.hashed == 0


async def test_an_upload_overwrites_nothing_and_the_same_twice_is_one_file(shelf: Shelf) -> None:
    write(shelf.share / "a.txt", "first")
    kept = await shelf.open()
    for _ in range(2):
        assert await kept.library.receive_upload("a.txt", chunks(b"second")) == sha256("second")
        assert await kept.library.receive_upload("A.TXT", chunks(b"third")) == sha256("third")
    assert await kept.names() == ["share/A (2).TXT", "share/a (2).txt", "share/a.txt"] or await kept.names() == [
        "share/A (3).TXT",
        "share/a (2).txt",
        "share/a.txt",
    ]
    assert (shelf.share / "a.txt").read_text() == "first"


async def test_an_upload_that_breaks_off_leaves_nothing(shelf: Shelf) -> None:
    async def breaking_off() -> AsyncIterator[bytes]:
        yield b"some"
        raise TooLarge("file_too_large", "Too much.")

    kept = await shelf.open()
    with pytest.raises(TooLarge):
        await kept.library.receive_upload("a.txt", breaking_off())
    assert list(shelf.share.iterdir()) == []
    await kept.library.quiet()
    assert await kept.names() == []


async def test_a_full_disk_is_a_refusal_that_leaves_nothing(shelf: Shelf, small_disk: Path) -> None:
    kept = await shelf.open(shared_directory=str(small_disk))
    with pytest.raises(NoSpace) as refused:
        await kept.library.receive_upload("large", chunks(*[b"x" * 100_000] * 30))
    assert refused.value.code == "disk_full"
    assert list(small_disk.iterdir()) == []
    assert await kept.library.receive_upload("small", chunks(b"x" * 1000)) == sha256(b"x" * 1000)


async def test_an_upload_into_a_folder_that_is_away_or_under_a_forbidden_name(shelf: Shelf) -> None:
    kept = await shelf.open()
    with pytest.raises(Forbidden):
        await kept.library.receive_upload("server.pem", chunks(b"key"))
    assert await kept.library.receive_upload(".env", chunks(b"key")) == sha256("key")
    shelf.share.rename(shelf.folder / "away")
    with pytest.raises(Forbidden) as refused:
        await kept.library.receive_upload("a.txt", chunks(b"a"))
    assert refused.value.code == "path_not_shareable"


async def test_what_a_killed_upload_left_is_cleared_up(shelf: Shelf) -> None:
    write(shelf.share / ".upload-0123456789abcdef.part", "half")
    write(shelf.share / "mine.part", "not ours")
    kept = await shelf.open(include_hidden=True)
    assert [path.name for path in shelf.share.iterdir()] == ["mine.part"]
    assert await kept.names() == []


async def test_an_upload_is_offered_although_its_folder_was_unshared(shelf: Shelf) -> None:
    write(shelf.share / "other", "other")
    kept = await shelf.open()
    await kept.library.unshare_path(str(shelf.share))
    file_id = await kept.library.receive_upload("a.txt", chunks(b"a"))
    assert await served(kept, file_id) == b"a"
    assert await kept.names() == ["a.txt"]


# A kill

SCAN = """
import asyncio, sys
from pathlib import Path
from common.content.hashing import SHA256
from common.runtime.clock import SystemClock
from common.runtime.config import PeerSettings
from peer.shares.library import Library
async def main():
    settings = PeerSettings(shared_directory=sys.argv[1], settle=0.0)
    library = Library(settings, Path(sys.argv[2]), SHA256, SystemClock(), print)
    await library.open()
    while True:
        await library.turned()
        print(library.shared_files, library.hashed, flush=True)
asyncio.run(main())
"""


async def test_a_scan_that_was_killed_goes_on_with_the_rest(shelf: Shelf) -> None:
    plant(shelf.share, 5000)
    data = shelf.folder / "data"
    data.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SCAN, str(shelf.share), str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        hashed = 0
        while hashed < 1000:
            words = (await asyncio.to_thread(process.stdout.readline)).split()
            hashed = int(words[1]) if len(words) == 2 and words[1].isdigit() else hashed
        process.send_signal(signal.SIGKILL)
    kept = await shelf.open()
    assert kept.library.shared_files == 5000
    assert 0 < kept.library.hashed <= 4750 - hashed


async def test_a_stop_in_the_middle_of_a_scan_leaves_nothing_running(shelf: Shelf) -> None:
    plant(shelf.share, 3000)
    with (shelf.share / "huge").open("wb") as file:
        file.truncate(1 << 42)
    kept = await shelf.begin()
    await kept.eventually(lambda: kept.library.hashed > 0)
    await shelf.close()
    assert children() == set()
    (shelf.share / "huge").unlink()
    kept = await shelf.open()
    assert kept.library.shared_files == 3000
    assert kept.library.hashed < 2850


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounting.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def state(shelf: Shelf) -> Iterator[Path]:
    """The system's state as a folder of the share."""
    folder = shelf.share / "state"
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "proc", "proc", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount the system's state")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def _written(path: Path, content: str) -> str:
    write(path, content)
    return str(path)


def _socket(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)
    try:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    except OSError as error:
        assert error.errno != errno.EADDRINUSE
        raise
    finally:
        os.close(here)
    return listener


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with one file that nobody can delete, not even root."""
    folder = tmp_path / "fixed"
    write(folder / "file", "fixed")
    command = f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'"
    if subprocess.run(command, shell=True, capture_output=True).returncode:
        pytest.skip("needs the right to mount a folder read-only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_what_cannot_be_deleted_is_unshared_and_that_is_said(shelf: Shelf, read_only: Path) -> None:
    kept = await shelf.open(shares=(str(read_only),))
    assert await kept.names() == ["fixed/file"]
    with pytest.raises(Forbidden, match="was not deleted: fixed/file: Read-only file system"):
        await kept.library.unshare(sha256("fixed"), delete=True)
    assert (await kept.names(), (read_only / "file").exists()) == ([], True)
