"""Libraries of networks that name files by BLAKE3, and the way from one algorithm to the other."""

import os

import pytest

from common.content.hashing import BLAKE3, SHA256, Algorithm
from common.errors import NotFound
from tests.peer.shares.conftest import Kept, Shelf
from tests.peer.shares.test_library import chunks, served
from tests.peer.shares.trees import plant, write


async def ids(kept: Kept) -> dict[str, str]:
    found = await kept.library.search("", "")
    return {file.filename: file.id for file in found.results}


async def announce(kept: Kept) -> tuple[dict[str, str], list[str]]:
    """Announces what is pending: {path: id}, and the paths that are removed."""
    catalogue = kept.library.catalogue
    pending = await catalogue.pending()
    await catalogue.mark_announced(pending, catalogue.announced_version + 1, complete=True)
    return {entry.path: entry.id for entry in pending.add}, sorted(pending.remove)


@pytest.mark.parametrize("content", [b"", b"small", b"large" * 100_000])
async def test_a_file_is_named_by_its_blake3(shelf: Shelf, content: bytes) -> None:
    write(shelf.share / "file", content)
    kept = await shelf.open(BLAKE3)
    wanted = BLAKE3.new(content).hexdigest()
    assert await ids(kept) == {"file": wanted}
    assert await served(kept, wanted) == content
    uploaded = await kept.library.receive_upload("sent", chunks(b"sent", b" in parts"))
    assert uploaded == BLAKE3.new(b"sent in parts").hexdigest()


@pytest.mark.parametrize(("algorithm", "tells"), [(SHA256, True), (BLAKE3, False)])
async def test_only_a_sha256_is_told_as_such(shelf: Shelf, algorithm: Algorithm, tells: bool) -> None:
    write(shelf.share / "file", b"content")
    kept = await shelf.open(algorithm)
    found = await kept.library.open_for_serving(algorithm.new(b"content").hexdigest())
    os.close(found.fd)
    assert (found.digest is not None) is tells


async def test_another_algorithm_hashes_all_anew_and_keeps_what_the_owner_said(shelf: Shelf) -> None:
    plant(shelf.share, 40)
    old = {name: write(shelf.share / name, name) for name in ("tagged", "unshared", "plain")}
    kept = await shelf.open()
    await kept.library.manifest(old["plain"])
    await kept.library.edit(old["tagged"], tags=["cool"], audience="people:me")
    await kept.library.unshare(old["unshared"])
    before, _ = await announce(kept)
    kept = await shelf.reopen(BLAKE3)
    assert kept.library.hashed == 40 - 2 + 3  # two are empty
    count = "SELECT count(*) FROM reading"
    assert await kept.library._database.read(lambda connection: connection.execute(count).fetchone()) == (0,)
    new = {name: BLAKE3.new(name.encode()).hexdigest() for name in old}
    found = await kept.library.find(new["tagged"], public_only=False)
    assert found is not None and found.tags == ["cool"]
    for hidden in (new["tagged"], new["unshared"], *old.values()):
        with pytest.raises(NotFound):
            await kept.library.manifest(hidden)
    after, removed = await announce(kept)
    assert (set(after), removed) == (set(before), [])
    assert not set(after.values()) & set(before.values())
    kept = await shelf.reopen(BLAKE3)
    assert kept.library.hashed == 0
    assert await announce(kept) == ({}, [])


async def test_nothing_is_offered_by_a_name_of_the_other_algorithm(shelf: Shelf) -> None:
    write(shelf.share / "file", b"content")
    kept = await shelf.open()
    await announce(kept)
    await shelf.close()
    kept = await shelf.begin(BLAKE3)
    async with kept.library._scan.turn:
        first = await kept.offered()
        told = await announce(kept)
    # Before the scan had its turn there is nothing; or it was quick, and the name is the new one.
    assert (first, told) in (
        ([], ({}, ["share/file"])),
        (["share/file"], ({"share/file": BLAKE3.new(b"content").hexdigest()}, [])),
    )
