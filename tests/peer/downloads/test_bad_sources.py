"""Sources that lie, break off, stall, crawl or send elsewhere: others are used, nothing unproven gets a name.

In both worlds: sources that tell a manifest, as our peers do, and programs that know of no pieces.
"""

import asyncio
import gzip
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from common.content.grid import SMALLEST_PIECE
from common.errors import Refusal
from common.wire.files import Source
from peer.downloads import course, events
from peer.downloads.standing import Patience
from tests.peer.downloads.conftest import HASTY, Network
from tests.support.listeners import Conversation, forever, listening, saying, silence
from tests.support.sources import (
    Content,
    Handler,
    asked_for,
    flipped,
    halting,
    honest,
    keyless,
    source,
    whole_only,
    with_manifest,
    without_manifest,
)

Answer = Callable[[bytes, dict[str, str]], tuple[int, bytes, dict[str, str]]]


def answering(content: Content, made: Answer) -> Handler:
    """What `made` makes of the bytes that were asked for and of the headers that an honest source would send with
    them; then the connection is cut."""

    async def handle(request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(content.data))
        asked = content.data[span]
        status, data, headers = made(asked, {**headers, "Content-Length": str(len(asked))})
        response = web.StreamResponse(status=status or (206 if "Content-Range" in headers else 200), headers=headers)
        await response.prepare(request)
        await response.write(data)
        assert request.transport is not None
        request.transport.close()
        return response

    return handle


def silent() -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return handle


def bad_sources(content: Content) -> dict[str, tuple[str, Handler]]:
    """Name → (outcome that is told, how it behaves)."""
    size = len(content.data)

    def answers(made: Answer) -> Handler:
        return answering(content, made)

    def plain(status: int, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda data, _: (status, b"", {"Content-Length": "0", **named})

    def changed(headers: dict[str, str], by: int) -> dict[str, str]:
        return {**headers, "Content-Length": str(int(headers["Content-Length"]) + by)}

    def chunked(data: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        del headers["Content-Length"]
        return 0, b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data), {**headers, "Transfer-Encoding": "chunked"}

    def packed(data: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        small = gzip.compress(data[:1000], 1)
        return 0, small, {**headers, "Content-Encoding": "gzip", "Content-Length": str(len(small))}

    other_range = {"Content-Range": f"bytes 1-{size - 1}/{size}", "Content-Length": str(size - 1)}
    return {
        "flips bits": ("corrupt", answers(lambda data, headers: (0, flipped(data), headers))),
        "flips the last bit": ("corrupt", answers(lambda data, headers: (0, flipped(data[::-1])[::-1], headers))),
        "closes early": ("broken", answers(lambda data, headers: (0, data[: len(data) // 2], headers))),
        "sends nothing": ("broken", answers(lambda data, headers: (0, b"", headers))),
        "announces more": ("refused", answers(lambda data, headers: (0, data + b"x", changed(headers, 1)))),
        "announces less": ("refused", answers(lambda data, headers: (0, data[:-1], changed(headers, -1)))),
        "does not say how much": ("refused", answers(chunked)),
        "compresses": ("refused", answers(packed)),
        "sends another range": ("refused", answers(lambda data, _: (206, content.data[1:], other_range))),
        "names no range": ("refused", answers(lambda data, _: (206, data, {"Content-Length": str(len(data))}))),
        "has it no more": ("refused", answers(plain(404))),
        "is broken": ("broken", answers(plain(500))),
        "wants to be paid": ("refused", answers(plain(402))),
        "leads elsewhere": ("refused", answers(plain(302, Location="http://127.0.0.1:1/"))),
        "has no slot": ("busy", answers(plain(503, Retry_After="3600"))),
        "stalls amid a piece": ("timeout", halting(content, 1000)),
        "stalls between pieces": ("timeout", halting(content, SMALLEST_PIECE)),
        "never answers": ("timeout", silent()),
    }


NAMES = list(bad_sources(Content(b"any")))
PATIENCE = replace(HASTY, head=0.2, silence=0.2, waiting=2)


def patience_for(outcome: str, waiting: float = 10) -> Patience:
    """Little time for those who are to run out of it, and enough for all others on a busy machine."""
    return (
        replace(PATIENCE, waiting=waiting) if outcome in ("timeout", "busy") else replace(HASTY, silence=5, waiting=10)
    )


WORLDS = [with_manifest, lambda content, handler: without_manifest(handler)]
both_worlds = pytest.mark.parametrize("world", WORLDS, ids=["manifests", "keyless"])
World = Callable[[Content, Handler], Handler]


@pytest.fixture(autouse=True)
def stuck_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "STUCK", 0.1)


@both_worlds
@pytest.mark.parametrize("name", NAMES)
async def test_another_source_is_used(
    network: Network, content: Content, tmp_path: Path, name: str, world: World
) -> None:
    outcome, handler = bad_sources(content)[name]
    bad = await network.source(world(content, handler), "bad")
    good = await network.source(world(content, honest(content)), "good")
    told = await network.events(tmp_path, bad, good, patience=patience_for(outcome))

    failures = {(event.peer_id, event.outcome) for event in told if isinstance(event, events.SourceFailed)}
    expected = {("bad", "unreachable" if name == "never answers" else outcome)}
    # What a source that stalls was asked for may be taken from it before its time is over.
    assert failures == expected or (outcome == "timeout" and not failures)
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert os.listdir(tmp_path) == ["file.bin"]


@both_worlds
@pytest.mark.parametrize("name", NAMES)
async def test_alone_it_gives_no_file(
    network: Network, content: Content, tmp_path: Path, name: str, world: World
) -> None:
    outcome, handler = bad_sources(content)[name]
    with pytest.raises(Refusal) as refused:
        alone = await network.source(world(content, handler))
        await network.events(tmp_path, alone, patience=patience_for(outcome, waiting=0.5))
    codes = {"corrupt": "proof_failed", "timeout": "no_source_online"}
    assert refused.value.code == codes.get(outcome, "source_unavailable")
    assert not (tmp_path / "file.bin").exists()
    assert set(os.listdir(tmp_path)) <= {content.part(tmp_path).name}


async def test_more_bytes_than_announced_do_no_harm(network: Network, content: Content, tmp_path: Path) -> None:
    def more(data: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        return 0, data + b"x" * 4096, headers

    await network.path(tmp_path, await network.source(with_manifest(content, answering(content, more))))
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_redirect_is_not_followed(network: Network, content: Content, tmp_path: Path) -> None:
    elsewhere = await network.source(honest(content), "elsewhere")

    async def redirect(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(elsewhere.url)

    with pytest.raises(Refusal):
        await network.events(tmp_path, await network.source(redirect))
    assert network.asked["elsewhere"] == []


HEAD = b"HTTP/1.1 200 OK\r\n"
UGLY: dict[str, tuple[str, Conversation]] = {
    "one endless line": ("refused", saying(HEAD + b"X: ", then=forever(b"x" * 65536))),
    "endless many headers": ("refused", saying(HEAD, then=forever(b"X: y\r\n" * 1000))),
    "more headers than are read": ("refused", saying(HEAD + b"X: y\r\n" * 65 + b"\r\n")),
    "spaces that end in a null": ("refused", saying(HEAD + b"X:" + b" " * 15000 + b"\0\r\n\r\n")),
    "another protocol": ("refused", saying(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")),
    "a head that comes slowly for ever": ("unreachable", saying(HEAD, then=silence)),
    "no word": ("broken", saying()),
}


@pytest.mark.parametrize("name", UGLY)
async def test_heads_without_end_or_sense_are_bounded(
    network: Network, content: Content, tmp_path: Path, name: str
) -> None:
    outcome, conversation = UGLY[name]
    content.data = content.data[:1000]  # one piece needs no manifest, so nothing is asked beforehand
    good = await network.source(honest(content), "good")
    async with listening(conversation) as listener:
        bad = source(listener.url(path=f"/api/v1/download/{content.id}"), "bad")
        told = await network.events(tmp_path, bad, good, patience=PATIENCE)
    failures = {(event.peer_id, event.outcome) for event in told if isinstance(event, events.SourceFailed)}
    assert failures == {("bad", outcome)}
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_nobody_listening_is_no_source_online(network: Network, content: Content, tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/api/v1/download/{content.id}"
        with pytest.raises(Refusal) as refused:
            await network.events(tmp_path, source(url), patience=replace(PATIENCE, waiting=0.2))
    assert refused.value.code == "no_source_online"


@pytest.mark.parametrize("sources", [[], [source(f"http://127.0.0.1:9/api/v1/download/{'ab' * 32}", complete=False)]])
async def test_no_source_at_all_leaves_nothing(
    network: Network, content: Content, tmp_path: Path, sources: list[Source]
) -> None:
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, *sources, patience=replace(PATIENCE, waiting=0.2))
    assert refused.value.code in ("no_source_online", "source_unavailable")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254:8080/api/v1/download/{id}",
        "http://192.168.1.1:8080/api/v1/download/{id}",
        "http://localhost:{port}/api/v1/download/{id}",
        "http://user:word@127.0.0.1:{port}/api/v1/download/{id}",
        "http://127.0.0.1:{port}/admin/reboot",
        "http://127.0.0.1:{port}/api/v1/download/{id}/../../../../admin",
        "ftp://127.0.0.1:{port}/api/v1/download/{id}",
        "https://127.0.0.1:{port}/api/v1/download/{id}",
        "http://[::ffff:169.254.169.254]:8080/api/v1/download/{id}",
        "http://[:8080/api/v1/download/{id}",
        "http://127.0.0.1:99999/api/v1/download/{id}",
        "",
    ],
)
async def test_addresses_that_lead_elsewhere_are_not_dialled(
    network: Network, content: Content, tmp_path: Path, url: str
) -> None:
    honest_one = await network.source(honest(content), "canary")
    port = honest_one.url.split(":")[2].split("/")[0]
    with pytest.raises(Refusal) as refused:
        astray = source(url.format(port=port, id=content.id))
        await network.events(tmp_path, astray, patience=replace(PATIENCE, waiting=0.2))
    assert refused.value.code == "source_unavailable"
    assert network.asked["canary"] == []


async def test_a_false_manifest_frames_nobody_else(network: Network, content: Content, tmp_path: Path) -> None:
    """The liar claims the whole file under it, and seeds it through one that was deceived."""
    other = Content(flipped(content.data))

    async def lying(request: web.Request) -> web.StreamResponse:
        if "/manifest/" in request.path:
            manifest = other.manifest()
            answer = {
                "id": content.id,
                "size": manifest.size,
                "piece_size": manifest.grid.piece_size,
                "pieces": manifest.hex_hashes(),
            }
            return web.json_response(answer)
        span, headers = asked_for(request, len(other.data))
        return web.Response(status=206 if headers else 200, body=other.data[span], headers=headers)

    liars = [await network.source(lying, name) for name in ("liar1", "liar2")]
    good = await network.source(honest(content), "good")
    told = await network.events(tmp_path, *liars, good)
    failures = {(event.peer_id, event.outcome) for event in told if isinstance(event, events.SourceFailed)}
    assert failures == {("liar1", "corrupt"), ("liar2", "corrupt")}
    assert network.pieces_asked("good") == [0], "what fits the true manifest is kept"
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_one_that_flips_bits_is_left_after_two_pieces_and_the_others_are_not_blamed(
    network: Network, content: Content, tmp_path: Path
) -> None:
    bad = with_manifest(content, bad_sources(content)["flips bits"][1])
    sources = [await network.source(bad, "bad")]
    sources += [await network.source(honest(content), f"good{number}") for number in range(3)]
    told = await network.events(tmp_path, *sources)
    failures = [(event.peer_id, event.outcome) for event in told if isinstance(event, events.SourceFailed)]
    assert set(failures) == {("bad", "corrupt")}
    assert len(network.asked["bad"]) <= 4
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_who_lied_is_not_asked_again(network: Network, content: Content, tmp_path: Path) -> None:
    sources = [await network.source(whole_only(flipped(content.data)), f"liar{number}") for number in range(3)]
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, *sources)
    assert refused.value.code == "proof_failed"
    assert [len(asked) for asked in network.asked.values()] == [1, 1, 1]
    assert os.listdir(tmp_path) == []


async def test_bytes_of_two_programs_that_do_not_fit_are_told_apart(
    network: Network, content: Content, tmp_path: Path
) -> None:
    """The liar gives the first half, wrong, and breaks off; the other completes it: each is then tried alone."""

    def half(data: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        return 0, flipped(data)[: 2 * SMALLEST_PIECE], headers

    bad = await network.source(without_manifest(answering(content, half)), "bad")
    good = await network.source(keyless(content), "good")
    told = await network.events(tmp_path, bad, good, patience=replace(HASTY, waiting=5))
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert {event.peer_id for event in told if isinstance(event, events.SourceFailed)} == {"bad"}
    assert network.asked["good"][-1] is None


@both_worlds
async def test_a_busy_source_is_asked_again_when_it_said(
    network: Network, content: Content, tmp_path: Path, world: World
) -> None:
    async def busy_at_first(request: web.Request) -> web.StreamResponse:
        if len(network.asked["p"]) <= 4:
            return web.Response(status=503, headers={"Retry-After": "0", "X-Queue-Place": "2"})
        return await honest(content)(request)

    told = await network.events(tmp_path, await network.source(world(content, busy_at_first), "p"))
    assert [event for event in told if isinstance(event, events.Waiting)]
    assert "number 2 in its line" in next(e.detail for e in told if isinstance(e, events.SourceFailed))
    assert (tmp_path / "file.bin").read_bytes() == content.data


@both_worlds
async def test_a_source_that_breaks_off_is_taken_up_again(
    network: Network, content: Content, tmp_path: Path, world: World
) -> None:
    broken = answering(content, lambda data, headers: (0, data[: SMALLEST_PIECE + 1], headers))

    async def breaks_once(request: web.Request) -> web.StreamResponse:
        return await (broken if len(network.asked["p"]) == 1 else honest(content))(request)

    await network.path(tmp_path, await network.source(world(content, breaks_once), "p"))
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert network.pieces_asked("p").count(0) == 1, "a piece that came is not asked for again"


def crawling(content: Content) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        span, headers = asked_for(request, len(content.data))
        response = web.StreamResponse(status=206 if headers else 200, headers=headers)
        response.content_length = len(content.data[span])
        await response.prepare(request)
        for byte in content.data[span]:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.01)
        return response

    return handle


async def test_a_source_that_crawls_is_left_when_there_is_another(
    network: Network, content: Content, tmp_path: Path
) -> None:
    slow = await network.source(with_manifest(content, crawling(content)), "slow")
    good = await network.source(honest(content), "good")
    patience = replace(HASTY, crawl=0.1, silence=5)
    told = await network.events(tmp_path, slow, good, patience=patience)
    assert {e.outcome for e in told if isinstance(e, events.SourceFailed)} <= {"slow"}
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_source_that_crawls_is_borne_when_there_is_no_other(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.data = content.data[:50]
    patience = replace(HASTY, crawl=0.05, silence=5)
    told = await network.events(tmp_path, await network.source(crawling(content)), patience=patience)
    assert not [event for event in told if isinstance(event, events.SourceFailed)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_what_is_kept_of_a_vandal_and_a_source_that_went_is_not_thrown_away(
    network: Network, content: Content, tmp_path: Path
) -> None:
    """One flips bits and is dropped, the other goes away: it may come back, so nothing is lost and nothing is final."""
    size = SMALLEST_PIECE

    async def first_pieces(request: web.Request) -> web.StreamResponse:
        span, _ = asked_for(request, len(content.data))
        if span.start >= 4 * size:
            await asyncio.Event().wait()
        return await honest(content)(request)

    vandal = with_manifest(content, bad_sources(content)["flips bits"][1])
    sources = [await network.source(with_manifest(content, first_pieces), "away"), await network.source(vandal, "bad")]
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, *sources, patience=replace(PATIENCE, waiting=1))
    assert refused.value.code == "no_source_online"
    assert "What came so far is kept" in refused.value.detail
    await network.path(tmp_path, await network.source(honest(content), "good"))
    assert 0 not in network.pieces_asked("good")
