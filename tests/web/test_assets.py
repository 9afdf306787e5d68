"""The style sheet, scripts and pictures as they are sent."""

from typing import Any

import pytest

from tests.web import samples
from web.assets import asset_url, assets


async def client_of(aiohttp_client: Any) -> Any:
    return await aiohttp_client(samples.peer_app(samples.SampleLibrary()))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("live.js", "text/javascript"), ("icons.svg", "image/svg+xml")],
)
async def test_a_file_comes_with_its_type(aiohttp_client: Any, name: str, kind: str) -> None:
    answer = await (await client_of(aiohttp_client)).get(f"/static/{name}")
    assert answer.status == 200
    assert answer.content_type == kind
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert await answer.read() == assets()[name].body


async def test_a_file_named_with_its_digest_is_kept_for_good(aiohttp_client: Any) -> None:
    client = await client_of(aiohttp_client)
    assert "immutable" in (await client.get(asset_url("style.css"))).headers["Cache-Control"]
    assert (await client.get("/static/style.css?v=old")).headers["Cache-Control"] == "no-cache"


async def test_an_unchanged_file_is_not_sent_again(aiohttp_client: Any) -> None:
    client = await client_of(aiohttp_client)
    tag = (await client.get("/static/style.css")).headers["ETag"]
    answer = await client.get("/static/style.css", headers={"If-None-Match": tag})
    assert answer.status == 304
    assert await answer.read() == b""
    assert (await client.get("/static/style.css", headers={"If-None-Match": '"other"'})).status == 200


@pytest.mark.parametrize(
    "name", ["nothing.css", "..%2frender.py", "%252e%252e", "a" * 300, "style.css%00", ".", "icons.svg/"]
)
async def test_any_other_name_is_not_found(aiohttp_client: Any, name: str) -> None:
    assert (await (await client_of(aiohttp_client)).get(f"/static/{name}")).status == 404


def test_a_page_cannot_name_a_file_that_is_missing() -> None:
    with pytest.raises(KeyError):
        asset_url("missing.js")
