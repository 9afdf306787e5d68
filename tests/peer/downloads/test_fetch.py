"""A fetch from honest sources: proven, taken up where it stopped, and never over anything that exists."""

import asyncio
import os
import stat
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from common.content.grid import SMALLEST_PIECE
from common.errors import Refusal
from peer.downloads import events
from peer.downloads.fetch import fetch
from tests.peer.downloads.conftest import HASTY, Network
from tests.support.sources import Content, Handler, flipped, halting, honest, keyless, whole_only, with_manifest


def pieces_kept(content: Content, folder: Path) -> list[int]:
    """The pieces of the content that its part holds."""
    part, size = content.part(folder).read_bytes(), SMALLEST_PIECE
    spans = [slice(piece * size, (piece + 1) * size) for piece in range(-(-len(content.data) // size))]
    return [piece for piece, span in enumerate(spans) if part[span] == content.data[span]]


async def test_a_file_arrives_proven_and_nothing_else_remains(
    network: Network, content: Content, tmp_path: Path
) -> None:
    told = await network.events(tmp_path, await network.source(honest(content)))

    assert [type(event) for event in told if not isinstance(event, events.Progress | events.Verifying)] == [
        events.Started,
        events.Verified,
        events.Finished,
    ]
    assert os.listdir(tmp_path) == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert not (tmp_path / "file.bin").stat().st_mode & 0o111


async def test_progress_grows_to_the_whole(network: Network, content: Content, tmp_path: Path) -> None:
    told = await network.events(tmp_path, await network.source(honest(content)))
    progress = [event for event in told if isinstance(event, events.Progress)]
    received = [event.received for event in progress]
    assert received == sorted(received)
    assert progress[-1].received == progress[-1].verified == len(content.data)
    assert not progress[-1].eta
    assert {event.total for event in progress} == {len(content.data)}


async def test_an_empty_file_needs_no_bytes(network: Network, content: Content, tmp_path: Path) -> None:
    content.data = b""
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.read_bytes() == b""


async def test_an_id_that_is_said_to_be_empty_and_is_not_fails(
    network: Network, content: Content, tmp_path: Path
) -> None:
    wanted = content.wanted(tmp_path)
    with pytest.raises(Refusal) as refused:
        async for _ in fetch(type(wanted)(wanted.id, 0, wanted.folder, wanted.name), [], network.outgoing, HASTY):
            pass
    assert refused.value.code == "proof_failed"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("world", [honest, keyless])
@pytest.mark.parametrize(("begun", "pieces"), [(1, 0), (1_500_000, 5), (2_999_999, 11)])
async def test_the_whole_pieces_of_what_was_begun_are_taken_up_and_only_the_others_asked_for(
    network: Network, content: Content, tmp_path: Path, begun: int, pieces: int, world: Callable[[Content], Handler]
) -> None:
    content.part(tmp_path).write_bytes(content.data[:begun])
    told = await network.events(tmp_path, await network.source(world(content), "p"))
    resumed = [event for event in told if isinstance(event, events.Resumed)]
    assert resumed == ([events.Resumed(pieces * SMALLEST_PIECE)] if pieces else [])
    assert network.pieces_asked("p") == list(range(pieces, 12))
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_pieces_amid_a_part_with_holes_are_taken_up(network: Network, content: Content, tmp_path: Path) -> None:
    with content.part(tmp_path).open("wb") as part:
        for piece in (3, 7, 11):
            part.seek(piece * SMALLEST_PIECE)
            part.write(content.data[piece * SMALLEST_PIECE : (piece + 1) * SMALLEST_PIECE])
    await network.path(tmp_path, await network.source(honest(content), "p"))
    assert network.pieces_asked("p") == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_part_that_is_whole_is_proven_without_asking_anybody(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(content.data)
    assert (await network.path(tmp_path)).read_bytes() == content.data


async def test_a_part_that_is_too_long_is_begun_anew(network: Network, content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).write_bytes(content.data + b"more")
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert network.pieces_asked("p") == list(range(12))
    assert not [event for event in told if isinstance(event, events.StartedOver)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_wrong_bytes_of_an_earlier_run_are_not_blamed_on_the_source(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(flipped(content.data)[:600_000])
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert network.pieces_asked("p") == [0, *range(2, 12)]
    assert not [event for event in told if isinstance(event, events.SourceFailed | events.StartedOver)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_nor_on_a_source_without_a_manifest_which_is_asked_for_all_of_it_again(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(flipped(content.data)[:600_000])
    told = await network.events(tmp_path, await network.source(keyless(content), "p"))
    assert network.pieces_asked("p") == [*range(2, 12), *range(12)] or network.asked["p"][1:] == [None]
    assert [type(e) for e in told if isinstance(e, events.SourceFailed | events.StartedOver)] == [events.StartedOver]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_part_that_seems_whole_and_is_not_is_mended(network: Network, content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).write_bytes(flipped(content.data))
    await network.path(tmp_path, await network.source(honest(content), "p"))
    assert network.pieces_asked("p") == [0]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_source_without_ranges_sends_all_and_what_is_there_already_is_skipped(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(content.data[:600_000])
    told = await network.events(tmp_path, await network.source(whole_only(content.data)))
    assert events.Resumed(2 * SMALLEST_PIECE) in told
    assert not [event for event in told if isinstance(event, events.StartedOver | events.SourceFailed)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_the_same_content_under_the_name_is_done_at_once(
    network: Network, content: Content, tmp_path: Path
) -> None:
    (tmp_path / "file.bin").write_bytes(content.data)
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert told == [events.Finished(str(tmp_path / "file.bin"), content.id, len(content.data), already_there=True)]
    assert network.asked["p"] == []


async def test_another_content_under_the_name_stays_as_it_is(
    network: Network, content: Content, tmp_path: Path
) -> None:
    (tmp_path / "file.bin").write_bytes(flipped(content.data))
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.name == "file (2).bin"
    assert path.read_bytes() == content.data
    assert (tmp_path / "file.bin").read_bytes() == flipped(content.data)

    again = await network.events(tmp_path)
    assert again == [events.Finished(str(path), content.id, len(content.data), already_there=True)]


async def test_a_run_killed_while_it_published_leaves_no_second_name(
    network: Network, content: Content, tmp_path: Path
) -> None:
    part = content.part(tmp_path)
    part.write_bytes(content.data)
    os.link(part, tmp_path / "file.bin")
    assert (await network.path(tmp_path)).read_bytes() == content.data
    assert os.listdir(tmp_path) == ["file.bin"]


async def test_a_longer_file_that_begins_alike_is_another(network: Network, content: Content, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(content.data + b"more")
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.name == "file (2).bin"


@pytest.mark.parametrize("what", ["folder", "fifo", "link", "dangling"])
async def test_what_is_no_regular_file_is_passed_by(
    network: Network, content: Content, tmp_path: Path, what: str
) -> None:
    taken, elsewhere = tmp_path / "file.bin", tmp_path / "elsewhere"
    elsewhere.write_bytes(content.data)
    if what == "folder":
        taken.mkdir()
    elif what == "fifo":
        os.mkfifo(taken)
    else:
        taken.symlink_to("elsewhere" if what == "link" else "nowhere")
    before = taken.lstat()
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.name == "file (2).bin"
    assert os.path.samestat(before, taken.lstat())
    assert not (tmp_path / "nowhere").exists()


async def test_a_file_that_takes_the_name_meanwhile_is_not_replaced(
    network: Network, content: Content, tmp_path: Path
) -> None:
    source = await network.source(honest(content))
    async with aclosing(fetch(content.wanted(tmp_path), [source], network.outgoing, HASTY)) as happenings:
        async for event in happenings:
            if isinstance(event, events.Started):
                (tmp_path / "file.bin").write_bytes(b"mine")
    assert (tmp_path / "file.bin").read_bytes() == b"mine"
    assert (tmp_path / "file (2).bin").read_bytes() == content.data


async def test_two_at_a_time_do_not_write_one_part(network: Network, content: Content, tmp_path: Path) -> None:
    release = asyncio.Event()

    async def held(request):  # type: ignore[no-untyped-def]
        await release.wait()
        return await honest(content)(request)

    source = await network.source(held)
    first = fetch(content.wanted(tmp_path), [source], network.outgoing, HASTY)
    assert isinstance(await anext(first), events.Started)
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, source)
    assert refused.value.code == "download_running"
    release.set()
    assert isinstance([event async for event in first][-1], events.Finished)


async def test_a_fetch_that_is_stopped_keeps_what_came(network: Network, content: Content, tmp_path: Path) -> None:
    source = await network.source(with_manifest(content, halting(content, SMALLEST_PIECE + 1000)), "p")
    async with aclosing(fetch(content.wanted(tmp_path), [source], network.outgoing, HASTY)) as happenings:
        async for event in happenings:
            if isinstance(event, events.Progress) and event.verified:
                break
    kept = pieces_kept(content, tmp_path)
    assert kept
    assert not (tmp_path / "file.bin").exists()
    await network.path(tmp_path, await network.source(honest(content), "q"))
    assert network.pieces_asked("q") == [piece for piece in range(12) if piece not in kept]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_names_of_any_length_have_room_for_the_part(network: Network, content: Content, tmp_path: Path) -> None:
    content.name = "é" * 125 + ".long"
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.name == content.name
    assert stat.S_ISREG(path.lstat().st_mode)
