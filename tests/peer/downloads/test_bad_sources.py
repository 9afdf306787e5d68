"""Sources that lie, break off, stall, crawl or send elsewhere: the next one is used, nothing unproven gets a name."""

import asyncio
import gzip
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from common.errors import Refusal
from common.wire.files import Source
from peer.downloads import events
from peer.downloads.standing import Patience
from tests.peer.downloads.conftest import HASTY, Network
from tests.support.sources import Content, Handler, flipped, honest, source, whole_only


def raw(status: int = 200, data: bytes = b"", **headers: str) -> Handler:
    """These bytes under these headers, then the connection is cut."""

    async def handle(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = web.StreamResponse(status=status, headers=named)
        await response.prepare(request)
        await response.write(data)
        assert request.transport is not None
        request.transport.close()
        return response

    return handle


def stalling(content: Content, after: int) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content.data))})
        await response.prepare(request)
        await response.write(content.data[:after])
        await asyncio.Event().wait()
        return response

    return handle


def silent() -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return handle


def bad_sources(content: Content) -> dict[str, tuple[str, Handler]]:
    """Name → (outcome that is told, how it behaves)."""
    data, size = content.data, len(content.data)
    packed = gzip.compress(data, 1)
    return {
        "lies": ("corrupt", whole_only(flipped(data))),
        "truncates": ("broken", raw(200, data[: size // 2], Content_Length=str(size))),
        "sends nothing": ("broken", raw(200, b"", Content_Length=str(size))),
        "announces more": ("refused", whole_only(data + b"x")),
        "announces less": ("refused", whole_only(data[:-1])),
        "sends more than announced": ("refused", raw(200, data + b"x" * 4096, Content_Length=str(size + 1))),
        "does not say how much": ("refused", raw(200, data, Transfer_Encoding="chunked")),
        "compresses": ("refused", raw(200, packed, Content_Length=str(len(packed)), Content_Encoding="gzip")),
        "sends a part unasked": (
            "refused",
            raw(206, data[1:], Content_Length=str(size - 1), Content_Range=f"bytes 1-{size - 1}/{size}"),
        ),
        "has it no more": ("refused", raw(404, b"", Content_Length="0")),
        "is broken": ("broken", raw(500, b"", Content_Length="0")),
        "has no slot": ("busy", raw(503, b"", Content_Length="0", Retry_After="3600")),
        "stalls": ("timeout", stalling(content, 1000)),
        "never answers": ("timeout", silent()),
    }


NAMES = list(bad_sources(Content(b"any")))
PATIENCE = replace(HASTY, head=0.3, waiting=0.0)


@pytest.mark.parametrize("name", NAMES)
async def test_the_next_source_is_used(network: Network, content: Content, tmp_path: Path, name: str) -> None:
    outcome, handler = bad_sources(content)[name]
    bad, good = await network.source(handler, "bad"), await network.source(honest(content), "good")
    told = await network.events(tmp_path, bad, good, patience=PATIENCE)

    failures = [(event.peer_id, event.outcome) for event in told if isinstance(event, events.SourceFailed)]
    assert failures == [("bad", outcome)]
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("name", NAMES)
async def test_alone_it_gives_no_file(network: Network, content: Content, tmp_path: Path, name: str) -> None:
    outcome, handler = bad_sources(content)[name]
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, await network.source(handler), patience=PATIENCE)
    codes = {"corrupt": "proof_failed", "timeout": "no_source_online"}
    assert refused.value.code == codes.get(outcome, "source_unavailable")
    assert not (tmp_path / "file.bin").exists()
    kept = [content.part(tmp_path).name] if name in ("truncates", "stalls") else []
    assert os.listdir(tmp_path) == kept


async def test_a_redirect_is_not_followed(network: Network, content: Content, tmp_path: Path) -> None:
    elsewhere = await network.source(honest(content), "elsewhere")

    async def redirect(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(elsewhere.url)

    with pytest.raises(Refusal):
        await network.events(tmp_path, await network.source(redirect))
    assert network.asked["elsewhere"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-2999999/3000000"},
        {"Content-Range": "bytes 1000-2999998/3000000"},
        {"Content-Range": "bytes 1000-2999999/*"},
        {"Content-Range": "bytes 1001-3000000/3000001"},
        {},
    ],
)
async def test_a_range_must_be_the_one_that_was_asked(
    network: Network, content: Content, tmp_path: Path, headers: dict[str, str]
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=206, body=content.data[1000:], headers=headers)

    content.part(tmp_path).write_bytes(content.data[:1000])
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, await network.source(handle))
    assert refused.value.code == "source_unavailable"
    assert content.part(tmp_path).read_bytes() == content.data[:1000]


async def test_nobody_listening_is_no_source_online(network: Network, content: Content, tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/api/v1/download/{content.id}"
        with pytest.raises(Refusal) as refused:
            await network.events(tmp_path, source(url), patience=PATIENCE)
    assert refused.value.code == "no_source_online"


@pytest.mark.parametrize("sources", [[], [source("http://127.0.0.1:9/api/v1/download/x", complete=False)]])
async def test_no_source_at_all_leaves_nothing(
    network: Network, content: Content, tmp_path: Path, sources: list[Source]
) -> None:
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, *sources)
    assert refused.value.code == "no_source_online"
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
        "http://[::ffff:169.254.169.254]:8080/api/v1/download/{id}",
        "http://[:8080/api/v1/download/{id}",
        "",
    ],
)
async def test_addresses_that_lead_elsewhere_are_not_dialled(
    network: Network, content: Content, tmp_path: Path, url: str
) -> None:
    honest_one = await network.source(honest(content), "canary")
    port = honest_one.url.split(":")[2].split("/")[0]
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, source(url.format(port=port, id=content.id)))
    assert refused.value.code == "source_unavailable"
    assert network.asked["canary"] == []


async def test_bytes_of_two_sources_that_do_not_fit_are_told_apart(
    network: Network, content: Content, tmp_path: Path
) -> None:
    size = len(content.data)
    liar = raw(200, flipped(content.data)[: size // 2], Content_Length=str(size))
    bad, good = await network.source(liar, "bad"), await network.source(honest(content), "good")
    told = await network.events(tmp_path, bad, good)
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert {event.peer_id for event in told if isinstance(event, events.SourceFailed)} == {"bad"}


async def test_a_liar_that_breaks_off_cannot_spoil_every_try(
    network: Network, content: Content, tmp_path: Path
) -> None:
    """It gives the first half, wrong, and never more; the honest one is busy whenever the liar can begin."""
    size = len(content.data)

    async def first_half(request: web.Request) -> web.StreamResponse:
        if "Range" in request.headers:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return await raw(200, flipped(content.data)[: size // 2], Content_Length=str(size))(request)

    async def often_busy(request: web.Request) -> web.StreamResponse:
        if len(network.asked["good"]) % 2:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return await honest(content)(request)

    bad, good = await network.source(first_half, "bad"), await network.source(often_busy, "good")
    async with asyncio.timeout(20):
        await network.events(tmp_path, bad, good, patience=replace(HASTY, waiting=30))
    assert (tmp_path / "file.bin").read_bytes() == content.data
    assert network.asked["good"][-1] is None


async def test_who_lied_is_not_asked_again(network: Network, content: Content, tmp_path: Path) -> None:
    sources = [await network.source(whole_only(flipped(content.data)), f"liar{number}") for number in range(3)]
    with pytest.raises(Refusal) as refused:
        await network.events(tmp_path, *sources)
    assert refused.value.code == "proof_failed"
    assert [len(asked) for asked in network.asked.values()] == [1, 1, 1]


async def test_a_busy_source_is_asked_again_when_it_said(network: Network, content: Content, tmp_path: Path) -> None:
    async def busy_once(request: web.Request) -> web.StreamResponse:
        if len(network.asked["p"]) == 1:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return await honest(content)(request)

    told = await network.events(tmp_path, await network.source(busy_once, "p"))
    assert [event for event in told if isinstance(event, events.Waiting)]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_source_that_breaks_off_is_taken_up_again(network: Network, content: Content, tmp_path: Path) -> None:
    size = len(content.data)

    async def breaks_once(request: web.Request) -> web.StreamResponse:
        if len(network.asked["p"]) == 1:
            return await raw(200, content.data[: size // 2], Content_Length=str(size))(request)
        return await honest(content)(request)

    await network.path(tmp_path, await network.source(breaks_once, "p"))
    assert (tmp_path / "file.bin").read_bytes() == content.data
    first, second = network.asked["p"]
    assert first is None
    assert second is not None and second.startswith("bytes=")


def crawling(content: Content) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content.data))})
        await response.prepare(request)
        for byte in content.data:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.01)
        return response

    return handle


async def test_a_source_that_crawls_is_left_when_there_is_another(
    network: Network, content: Content, tmp_path: Path
) -> None:
    slow, good = await network.source(crawling(content), "slow"), await network.source(honest(content), "good")
    patience = Patience(crawl=0.1, silence=5, slowest=1 << 20, news=0.0)
    told = await network.events(tmp_path, slow, good, patience=patience)
    assert [event.outcome for event in told if isinstance(event, events.SourceFailed)] == ["slow"]
    assert (tmp_path / "file.bin").read_bytes() == content.data


async def test_a_source_that_crawls_is_borne_when_there_is_no_other(
    network: Network, content: Content, tmp_path: Path
) -> None:
    content.data = content.data[:50]
    patience = Patience(crawl=0.05, silence=5, slowest=1 << 20, news=0.0)
    told = await network.events(tmp_path, await network.source(crawling(content)), patience=patience)
    assert not [event for event in told if isinstance(event, events.SourceFailed)]
    assert (tmp_path / "file.bin").read_bytes() == content.data
