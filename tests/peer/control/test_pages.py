"""The peer's own page: what anybody sees, and what only waits for the owner."""

from typing import Any

import pytest

from common.errors import Invalid
from common.wire.transfer import Limits
from peer.control.pages import _page_number
from tests.web import samples
from tests.web.html import Page


async def page_of(aiohttp_client: Any, library: samples.SampleLibrary, path: str = "/", **info: Any) -> Page:
    answer = await (await aiohttp_client(samples.peer_app(library, samples.peer_info(**info)))).get(path)
    assert answer.status == 200
    return Page(await answer.text())


def many(number: int) -> samples.SampleLibrary:
    return samples.SampleLibrary([samples.shared_file(f"file {n}.txt") for n in range(number)])


async def test_it_tells_who_it_is_and_what_it_shares(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(2))
    assert "Study" in page.texts["bdi"]
    assert samples.KEYED_ID in page.texts["code"]
    assert "file 1.txt" in page.texts["bdi"]
    hidden = {
        name: "hidden" in a for _, a in page.elements for name in ("data-unregistered", "id") if a.get(name) == ""
    }
    assert hidden == {"data-unregistered": True}


async def test_an_unregistered_peer_says_what_to_do(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(0), is_registered=False, last_heartbeat=None)
    (notice,) = [a for a in page.all("p") if "data-unregistered" in a]
    assert "hidden" not in notice
    assert "never" in page.text
    assert "peer share DIR" in page.texts["code"]


@pytest.mark.parametrize("trouble", ["", "Others are sent to 192.168.1.7: <b>start it with --lan</b>."])
async def test_what_stands_in_the_way_is_told_though_it_is_registered(aiohttp_client: Any, trouble: str) -> None:
    page = await page_of(aiohttp_client, many(1), trouble=trouble)
    (notice,) = [a for a in page.all("p") if "data-trouble" in a]
    assert ("hidden" in notice) is (trouble == "")
    assert trouble in page.text


async def test_a_search_narrows_the_list(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(12), "/?q=file+1&category=document")
    assert "3 files found" in page.text.replace("\u00a0", " ")
    page = await page_of(aiohttp_client, many(12), "/?q=other")
    assert "Nothing here fits." in page.text


async def test_a_long_list_has_pages(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(201), "/?q=file&page=2")
    assert len([a for a in page.all("li") if a.get("data-file")]) == 100
    links = {a["rel"]: a["href"] for a in page.all("a") if "rel" in a}
    assert links == {"prev": "/?q=file", "next": "/?q=file&page=3"}
    last = await page_of(aiohttp_client, many(201), "/?q=file&page=3")
    assert [a["rel"] for a in last.all("a") if "rel" in a] == ["prev"]


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1e9", "٣", "99999999", "1" * 5000])
def test_a_page_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        _page_number(text)
    assert refused.value.code == "invalid_parameter"


async def test_the_token_is_never_asked_for_by_the_server(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(1))
    (token,) = [control for control in page.all("input") if control["id"] == "token"]
    assert "name" not in token
    assert token["type"] == "password"


async def test_downloads_and_limits_wait_for_the_owner(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(1))
    (section,) = [a for a in page.all("section") if a.get("aria-labelledby") == "downloads-title"]
    assert section["class"] == "owner-only"
    scripts = [a["src"].split("?")[0].rpartition("/")[2] for a in page.all("script")]
    assert scripts.index("downloads.js") < scripts.index("limits.js") < scripts.index("owner.js")
    assert "Nothing is being fetched." in page.text
    acts = [a["data-do"] for a in page.all("button") if "data-do" in a]
    assert acts == ["pause", "resume", "sooner", "later", "cancel"]


async def test_every_field_of_the_page_has_a_label(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(1))
    labelled = {a["for"] for a in page.all("label")}
    fields = [a for tag in ("input", "textarea", "select") for a in page.all(tag)]
    assert [a.get("id") for a in fields if a.get("id") not in labelled] == []


async def test_the_fields_for_limits_are_those_of_the_limits(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, many(1))
    rates = {a["name"] for a in page.all("input") if "data-rate" in a}
    assert rates | {"lan_exempt", "schedule", "now"} == set(Limits.__struct_fields__)
