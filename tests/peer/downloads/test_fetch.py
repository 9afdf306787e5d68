"""A fetch from honest sources: proven, taken up where it stopped, and never over anything that exists."""

import asyncio
import os
import stat
from contextlib import aclosing
from pathlib import Path

import pytest

from common.errors import Refusal
from peer.downloads import events
from peer.downloads.fetch import fetch
from tests.peer.downloads.conftest import HASTY, Network
from tests.support.sources import Content, flipped, honest, whole_only


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
    assert (progress[-1].received, progress[-1].eta) == (len(content.data), 0)
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


@pytest.mark.parametrize("begun", [1, 1_500_000, 2_999_999])
async def test_what_was_begun_is_taken_up(network: Network, content: Content, tmp_path: Path, begun: int) -> None:
    content.part(tmp_path).write_bytes(content.data[:begun])
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert events.Resumed(begun) in told
    assert network.asked["p"] == [f"bytes={begun}-"]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_part_that_is_whole_is_proven_without_asking_anybody(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(content.data)
    assert (await network.path(tmp_path)).read_bytes() == content.data


async def test_a_part_that_is_too_long_is_begun_anew(network: Network, content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).write_bytes(content.data + b"more")
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert network.asked["p"] == [None]
    assert not [event for event in told if isinstance(event, events.StartedOver)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_wrong_bytes_of_an_earlier_run_are_not_blamed_on_the_source(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(flipped(content.data)[:1000])
    told = await network.events(tmp_path, await network.source(honest(content), "p"))
    assert network.asked["p"] == ["bytes=1000-", None]
    assert not [event for event in told if isinstance(event, events.SourceFailed)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_source_without_ranges_begins_at_the_beginning(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.part(tmp_path).write_bytes(content.data[:1000])
    told = await network.events(tmp_path, await network.source(whole_only(content.data)))
    assert [event for event in told if isinstance(event, events.StartedOver)]
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
    source = await network.source(honest(content), "p")
    async with aclosing(fetch(content.wanted(tmp_path), [source], network.outgoing, HASTY)) as happenings:
        async for event in happenings:
            if isinstance(event, events.Progress):
                break
    kept = content.part(tmp_path).read_bytes()
    assert kept
    assert content.data.startswith(kept)
    assert not (tmp_path / "file.bin").exists()
    await network.path(tmp_path, source)
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_names_of_any_length_have_room_for_the_part(network: Network, content: Content, tmp_path: Path) -> None:
    content.name = "é" * 125 + ".long"
    path = await network.path(tmp_path, await network.source(honest(content)))
    assert path.name == content.name
    assert stat.S_ISREG(path.lstat().st_mode)
