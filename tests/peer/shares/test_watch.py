"""Notices of changes: both kinds of watch tell of all that happens below a folder, and neither of anything outside."""

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peer.shares.agenda import Place
from peer.shares.disk import open_folder
from peer.shares.inotify import Inotify
from peer.shares.rust_watch import RustWatch
from peer.shares.watch import HAS_INOTIFY, NoWatch, Watch, open_watch
from tests.peer.shares.trees import NOT_UTF8, write
from tests.support.waiting import until

SHARE = 7


class Told:
    """What a watch told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notices: set[tuple[Place, bytes]] = set()
        self.troubles = 0

    def notice(self, place: Place, name: bytes) -> None:
        self.notices.add((place, name))

    def trouble(self) -> None:
        self.troubles += 1

    async def of(self, path: str) -> None:
        """Returns once there was a notice of this path."""
        folder, _, name = os.fsencode(path).rpartition(b"/")
        await until(lambda: (Place(SHARE, folder), name) in self.notices)
        self.notices.clear()


def enter(watch: Watch, root: Path, *folders: str) -> None:
    """As a scan does when it comes to these folders."""
    for folder in folders:
        fd = open_folder(os.fsencode(root), os.fsencode(folder))
        watch.enter(Place(SHARE, os.fsencode(folder)), fd)
        os.close(fd)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    (tmp_path / "share" / "sub").mkdir(parents=True)
    return Told(tmp_path / "share")


@pytest.fixture(params=[Inotify, RustWatch])
async def watch(request: pytest.FixtureRequest, told: Told) -> AsyncIterator[Watch]:
    watch: Watch = request.param(told.notice, told.trouble)
    watch.begin([(SHARE, os.fsencode(told.root))])
    enter(watch, told.root, "", "sub")
    if isinstance(watch, RustWatch):
        # Its thread begins some time later.
        async with asyncio.timeout(30):
            while not told.notices:
                write(told.root / "begun")
                await asyncio.sleep(0.01)
        told.notices.clear()
    yield watch
    watch.close()


async def test_what_happens_to_files_is_told(watch: Watch, told: Told) -> None:
    write(told.root / "file", "one")
    await told.of("file")
    write(told.root / "sub" / "inner", "two")
    await told.of("sub/inner")
    (told.root / "file").rename(told.root / "renamed")
    await told.of("renamed")
    (told.root / "sub" / "inner").unlink()
    await told.of("sub/inner")
    assert watch.is_complete


async def test_a_new_folder_is_told(watch: Watch, told: Told) -> None:
    (told.root / "sub" / "new").mkdir()
    await told.of("sub/new")


async def test_nothing_is_told_after_the_end(watch: Watch, told: Told) -> None:
    watch.close()
    watch.close()
    write(told.root / "file", "one")
    enter(watch, told.root, "")
    watch.leave(Place(SHARE, b""))
    await asyncio.sleep(0)
    assert not told.notices


@pytest.fixture
async def inotify(told: Told) -> AsyncIterator[Inotify]:
    watch = Inotify(told.notice, told.trouble)
    enter(watch, told.root, "", "sub")
    yield watch
    watch.close()


async def test_links_are_not_watched_through(inotify: Inotify, told: Told) -> None:
    outside = told.root.parent / "outside"
    outside.mkdir()
    (told.root / "link").symlink_to(outside)
    await told.of("link")
    write(outside / "file")
    write(told.root / "marker")
    await until(lambda: (Place(SHARE, b""), b"marker") in told.notices)
    assert {name for _, name in told.notices} == {b"marker"}


async def test_names_that_are_not_utf_8_are_told(inotify: Inotify, told: Told) -> None:
    (told.root / "sub" / os.fsdecode(NOT_UTF8)).write_bytes(b"odd")
    await told.of("sub/" + os.fsdecode(NOT_UTF8))


async def test_a_folder_that_moves_is_told_of_under_its_new_place_only(inotify: Inotify, told: Told) -> None:
    (told.root / "sub").rename(told.root / "moved")
    await told.of("moved")
    enter(inotify, told.root, "moved")
    write(told.root / "moved" / "file")
    await told.of("moved/file")
    (told.root / "moved").rename(told.root.parent / "out")
    await told.of("moved")
    write(told.root.parent / "out" / "later")
    write(told.root / "marker")
    await until(lambda: (Place(SHARE, b""), b"marker") in told.notices)
    assert {name for _, name in told.notices} == {b"marker"}


async def test_a_folder_that_is_left_is_told_of_no_more(inotify: Inotify, told: Told) -> None:
    enter(inotify, told.root, "")
    inotify.leave(Place(SHARE, b"sub"))
    inotify.leave(Place(SHARE + 1, b""))
    write(told.root / "sub" / "file")
    write(told.root / "marker")
    await until(lambda: (Place(SHARE, b""), b"marker") in told.notices)
    assert {name for _, name in told.notices} == {b"marker"}


async def test_one_folder_may_be_watched_for_two_shares(inotify: Inotify, told: Told) -> None:
    fd = open_folder(os.fsencode(told.root))
    inotify.enter(Place(SHARE + 1, b""), fd)
    os.close(fd)
    write(told.root / "file")
    await until(lambda: {place.share for place, name in told.notices if name == b"file"} == {SHARE, SHARE + 1})
    inotify.leave(Place(SHARE + 1, b""))
    told.notices.clear()
    write(told.root / "other")
    await until(lambda: (Place(SHARE, b""), b"other") in told.notices)
    assert {place.share for place, _ in told.notices} == {SHARE}


async def test_a_root_that_moves_or_goes_is_told(inotify: Inotify, told: Told) -> None:
    told.root.rename(told.root.parent / "elsewhere")
    await told.of("")
    shutil.rmtree(told.root.parent / "elsewhere")
    await told.of("")


async def test_lost_notices_are_told_as_trouble(inotify: Inotify, told: Told) -> None:
    overflow = b"\xff\xff\xff\xff" + (0x4000).to_bytes(4, "little") + bytes(8)
    inotify._understand(overflow)
    assert told.troubles == 1


async def test_a_system_that_has_no_more_watches_is_told_once(
    inotify: Inotify, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    for code in (errno.ENOENT, errno.ENOSPC, errno.ENOSPC):
        inotify._cannot_watch(code)
    assert not inotify.is_complete
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "max_user_watches" in caplog.records[0].message


async def test_where_nothing_can_be_watched_all_is_swept(
    told: Told, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> Watch:
        raise OSError(errno.EMFILE, "no more")

    monkeypatch.setattr("peer.shares.inotify.Inotify", no_more)
    monkeypatch.setattr("peer.shares.watch.HAS_INOTIFY", True)
    watch = open_watch(told.notice, told.trouble)
    assert isinstance(watch, NoWatch)
    assert not watch.is_complete
    assert len(caplog.records) == 1
    enter(watch, told.root, "")
    watch.begin([])
    watch.leave(Place(SHARE, b""))
    watch.close()


async def test_without_inotify_it_is_watchfiles(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.shares.watch.HAS_INOTIFY", False)
    watch = open_watch(told.notice, told.trouble)
    assert isinstance(watch, RustWatch)
    watch.close()


@pytest.mark.skipif(not HAS_INOTIFY, reason="there is none here")
async def test_with_inotify_it_is_that(told: Told) -> None:
    watch = open_watch(told.notice, told.trouble)
    assert isinstance(watch, Inotify)
    watch.close()


async def test_watchfiles_that_fails_is_told_and_swept_for(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    watch = RustWatch(told.notice, told.trouble)
    watch.begin([(SHARE, os.fsencode(told.root))])
    await asyncio.sleep(0)
    (told.root / os.fsdecode(NOT_UTF8)).write_bytes(b"odd")
    async with asyncio.timeout(30):
        while watch.is_complete:
            (told.root / os.fsdecode(NOT_UTF8)).write_bytes(b"odd")
            await asyncio.sleep(0.01)
    assert told.troubles == 1
    watch.close()


async def test_watchfiles_follows_the_shares(told: Told) -> None:
    watch = RustWatch(told.notice, told.trouble)
    watch.begin([])
    watch.begin([(SHARE, os.fsencode(told.root / "absent"))])
    other = told.root.parent / "other"
    other.mkdir()
    watch.begin([(SHARE, os.fsencode(other)), (SHARE + 1, os.fsencode(told.root / "absent"))])
    async with asyncio.timeout(30):
        while not told.notices:
            write(other / "file")
            await asyncio.sleep(0.01)
    assert {place.share for place, _ in told.notices} == {SHARE}
    watch.close()
