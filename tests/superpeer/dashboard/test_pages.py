"""The super-peer's pages over an index: what is shown, what is said when there is nothing."""

from typing import Any

from common.wire.files import FileInfo
from tests.web import samples
from tests.web.html import Page


async def page_of(aiohttp_client: Any, index: samples.SampleIndex, path: str) -> Page:
    answer = await (await aiohttp_client(samples.super_peer_app(index))).get(path)
    assert answer.status == 200
    return Page(await answer.text())


def hrefs(page: Page) -> list[str]:
    return [link["href"] for link in page.all("a")]


async def test_an_empty_network_says_how_to_begin(aiohttp_client: Any) -> None:
    for path in ("/", "/peers"):
        page = await page_of(aiohttp_client, samples.SampleIndex(), path)
        (command,) = [text for text in page.texts["code"] if text.startswith("peer run")]
        assert command.startswith("peer run --super-peer 127.0.0.1:")
        assert command.endswith(" --share DIR")


async def test_peers_without_files_are_told_when_files_show(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=[samples.peer("Study")]), "/")
    assert "Study" in page.texts["bdi"]
    assert "No files yet." in page.text


async def test_files_that_nobody_online_has_are_not_called_none(aiohttp_client: Any) -> None:
    class AllOffline(samples.SampleIndex):
        async def newest(self, limit: int) -> list[FileInfo]:
            return []

    index = AllOffline([samples.file_info("a.pdf")], [samples.peer("Study", is_online=False)])
    page = await page_of(aiohttp_client, index, "/")
    assert "No files yet." not in page.text
    assert "/search?online=false" in hrefs(page)


async def test_the_overview_counts(aiohttp_client: Any) -> None:
    peers = [samples.peer(f"p{n}", id=f"p{n}", is_online=n < 3) for n in range(12)]
    page = await page_of(aiohttp_client, samples.SampleIndex([samples.file_info("a.pdf")], peers), "/")
    assert "of 12 known" in " ".join(page.text.split())
    assert page.texts["b"][:2] == ["3", "1"]
    assert len([a for a in page.all("li") if a.get("data-peer")]) == 8


async def test_a_total_that_is_a_lower_bound_says_so(aiohttp_client: Any) -> None:
    index = samples.SampleIndex([samples.file_info("a.pdf")], paging={"total": 10_000, "total_exact": False})
    page = await page_of(aiohttp_client, index, "/search")
    assert "More than 10,000 files" in page.text.replace("\u00a0", " ")


async def test_a_search_passes_what_was_given_and_nothing_empty(aiohttp_client: Any) -> None:
    index = samples.SampleIndex()
    await page_of(aiohttp_client, index, "/search?q=a&ext=&min_size=&tag=x&tag=y&online=false&unknown=1&category=+")
    assert list(index.asked.items()) == [("q", "a"), ("tag", "x"), ("tag", "y"), ("online", "false")]


async def test_a_search_fills_its_form_with_what_was_given(aiohttp_client: Any) -> None:
    path = "/search?q=%22x%22&category=image&min_size=12345&sort=size&online=false"
    page = await page_of(aiohttp_client, samples.SampleIndex(), path)
    inputs = {control["name"]: control for control in page.all("input")}
    assert inputs["q"]["value"] == '"x"'
    assert "checked" in inputs["online"]
    assert [option["value"] for option in page.all("option") if "selected" in option] == ["image", "12345", "size"]


async def test_results_lead_on_by_the_cursor(aiohttp_client: Any) -> None:
    index = samples.SampleIndex([samples.file_info("a.pdf")], paging={"next_cursor": "c&1"})
    page = await page_of(aiohttp_client, index, "/search?q=a&cursor=c0")
    assert "/search?q=a&cursor=c%261" in hrefs(page)
    assert "/search?q=a" in hrefs(page)


async def test_nothing_found_says_what_to_try(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, samples.SampleIndex(), "/search?q=x&ext=pdf")
    assert "Nothing found" in page.text
    assert "/search?q=x" in hrefs(page)
    page = await page_of(aiohttp_client, samples.SampleIndex(), "/search")
    assert "/search?online=false" in hrefs(page)


async def test_a_result_can_be_downloaded_while_someone_has_it(aiohttp_client: Any) -> None:
    here, gone = samples.file_info("here.pdf", sources=1), samples.file_info("gone.pdf", sources=0)
    page = await page_of(aiohttp_client, samples.SampleIndex([here, gone]), "/search")
    assert f"/api/v1/download/{here.id}" in hrefs(page)
    assert f"/api/v1/download/{gone.id}" not in hrefs(page)
    assert "No source online" in page.text


async def test_a_file_says_how_to_fetch_and_check_it(aiohttp_client: Any) -> None:
    file = samples.file_info("My report.pdf", names=[f"copy {n}.pdf" for n in range(30)])
    page = await page_of(aiohttp_client, samples.SampleIndex([file], sources=[samples.source()]), f"/files/{file.id}")
    commands = page.texts["code"]
    assert file.hash in commands
    assert any(c.startswith(f"peer get {file.id} --super-peer 127.0.0.1:") for c in commands)
    assert any(c.startswith("curl -L -o 'My report.pdf' http://127.0.0.1:") for c in commands)
    assert "sha256sum 'My report.pdf'" in commands
    assert "copy 11.pdf" in page.texts["bdi"]
    assert "and 18 more names" in page.text.replace("\u00a0", " ")
    assert "http://192.168.1.20:9001/api/v1/download/00" in hrefs(page)


async def test_a_file_that_nobody_online_has_offers_no_download(aiohttp_client: Any) -> None:
    file = samples.file_info("gone.pdf")
    page = await page_of(aiohttp_client, samples.SampleIndex([file]), f"/files/{file.id}")
    assert f"/api/v1/download/{file.id}" not in hrefs(page)
    assert "Nobody who has this file is online." in page.text


async def test_a_source_that_cannot_be_dialled_is_not_linked(aiohttp_client: Any) -> None:
    file = samples.file_info("a.pdf")
    sources = [samples.source(direct=False), samples.source(url="javascript:alert(1)")]
    page = await page_of(aiohttp_client, samples.SampleIndex([file], sources=sources), f"/files/{file.id}")
    assert not [href for href in hrefs(page) if not href.startswith(("/", "#"))]
    assert page.text.count("through the super-peer") == 2


async def test_a_long_list_of_peers_is_cut_and_says_so(aiohttp_client: Any) -> None:
    peers = [samples.peer(f"p{n}", id=f"p{n}", is_online=False) for n in range(501)]
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=peers), "/peers")
    assert "500 peers shown" in page.text.replace("\u00a0", " ")
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=peers[:500]), "/peers")
    assert "shown" not in page.text
