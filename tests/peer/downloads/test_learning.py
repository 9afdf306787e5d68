"""What is believed of a source's manifest, and which addresses are used at all."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from common.content.manifest import Manifest
from peer.downloads.learning import LARGEST, ask_manifest, beside, check_url
from peer.downloads.standing import SourceTrouble
from tests.peer.downloads.conftest import Network
from tests.support.sources import Content, honest, keyless, source

ID = "ab" * 32


async def learn(network: Network, handler: Any) -> Manifest:
    content = network.content
    return await ask_manifest(network.outgoing, await network.source(handler), content.id, len(content.data))


async def outcome(network: Network, handler: Any) -> SourceTrouble:
    with pytest.raises(SourceTrouble) as caught:
        await learn(network, handler)
    return caught.value


async def test_the_manifest_of_a_peer_is_what_the_bytes_make(network: Network, content: Content) -> None:
    assert await learn(network, honest(content)) == content.manifest()


async def test_a_program_has_none(network: Network, content: Content) -> None:
    assert (await outcome(network, keyless(content))).outcome == "refused"


def telling(content: Content, **lies: Any) -> Any:
    manifest = content.manifest()
    answer = {
        "id": content.id,
        "size": manifest.size,
        "piece_size": manifest.grid.piece_size,
        "pieces": manifest.hex_hashes(),
    }

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer | lies)

    return handle


@pytest.mark.parametrize(
    "lies",
    [
        {"id": ID},
        {"size": 2_999_999},
        {"piece_size": 1 << 19},
        {"pieces": []},
        {"pieces": ["ab" * 32] * 11},
        {"pieces": ["ab" * 32] * 13},
        {"pieces": ["xy" * 32] * 12},
        {"pieces": ["ab" * 31] * 12},
        {"pieces": ["ab" * 32] * 5000},
        {"pieces": 12},
        {"padding": "x" * LARGEST},
    ],
)
async def test_what_cannot_be_a_manifest_of_this_file_is_refused(
    network: Network, content: Content, lies: dict[str, Any]
) -> None:
    assert (await outcome(network, telling(content, **lies))).outcome in ("refused", "unreachable")


@pytest.mark.parametrize(
    ("status", "told"),
    [(404, "refused"), (503, "busy"), (429, "busy"), (500, "broken"), (301, "refused"), (400, "refused")],
)
async def test_an_answer_that_is_none_is_told_for_what_it_is(network: Network, status: int, told: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": "7"})

    trouble = await outcome(network, handle)
    assert trouble.outcome == told
    assert trouble.retry_after == (7.0 if told == "busy" else None)


async def test_one_that_does_not_answer_has_its_time(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.downloads.learning.DEADLINE", 0.05)

    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    assert (await outcome(network, silent)).outcome == "timeout"


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:2000/api/v1/download/{ID}",
        f"http://127.0.0.1:2000/api/v1/download/{ID}?relay=1",
        f"http://[::1]:2000/api/v1/download/{ID}",
    ],
)
def test_an_address_that_leads_to_the_file_is_used(url: str) -> None:
    check_url(source(url), ID)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://[:1/",
        f"https://127.0.0.1:2000/api/v1/download/{ID}",
        f"ftp://127.0.0.1:2000/api/v1/download/{ID}",
        f"http://a:b@127.0.0.1:2000/api/v1/download/{ID}",
        f"http://127.0.0.1:2000/api/v1/download/{'cd' * 32}",
        f"http://127.0.0.1:2000/api/v1/download/{ID}/",
        f"http://127.0.0.1:2000/x/api/v1/download/{ID}",
        f"http://127.0.0.1:99999/api/v1/download/{ID}",
        f"/api/v1/download/{ID}",
    ],
)
def test_any_other_address_is_not(url: str) -> None:
    with pytest.raises(SourceTrouble):
        check_url(source(url), ID)  # type: ignore[arg-type]


def test_what_lies_beside_the_file_is_asked_at_the_same_place() -> None:
    at = source(f"http://127.0.0.1:2000/api/v1/download/{ID}?relay=1")
    assert beside(at, "have") == f"http://127.0.0.1:2000/api/v1/have/{ID}?relay=1"
