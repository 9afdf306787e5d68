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
    here, gone = samples.file_info("here.pdf"), samples.file_info("gone.pdf", peer_address="")
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
    assert any(c.startswith("curl -fL -o 'My report.pdf' http://127.0.0.1:") for c in commands)
    assert "sha256sum 'My report.pdf'" in commands
    assert "copy 11.pdf" in page.texts["bdi"]
    assert "and 18 more names" in page.text.replace("\u00a0", " ")
    assert "http://192.168.1.20:9001/api/v1/download/00" in hrefs(page)


async def test_a_file_of_a_blake3_network_is_checked_as_such(aiohttp_client: Any) -> None:
    file = samples.file_info("report.pdf")
    index = samples.SampleIndex([file], sources=[samples.source()], hash_algorithm="blake3")
    page = await page_of(aiohttp_client, index, f"/files/{file.id}")
    assert "b3sum report.pdf" in page.texts["code"]
    assert "BLAKE3, which is its id" in page.text
    assert "sha256sum" not in page.text


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


async def test_a_source_of_some_pieces_says_so_and_is_no_link(aiohttp_client: Any) -> None:
    file = samples.file_info("a.pdf")
    sources = [samples.source(complete=False, reputation=73), samples.source(complete=False, direct=False)]
    page = await page_of(aiohttp_client, samples.SampleIndex([file], sources=sources), f"/files/{file.id}")
    assert not [href for href in hrefs(page) if "/api/v1/download/" in href]
    assert "its pieces, direct" in page.text
    assert "its pieces, relayed" in page.text
    assert "73" in page.texts["span"]


async def test_a_peer_at_a_network_address_is_told_to_listen_there(aiohttp_client: Any) -> None:
    client = await aiohttp_client(samples.super_peer_app(samples.SampleIndex()))
    for path in ("/", "/peers"):
        page = Page(await (await client.get(path, headers={"Host": "192.168.1.5:8080"})).text())
        assert "peer run --lan --super-peer 192.168.1.5:8080 --share DIR" in page.texts["code"]


async def test_the_overview_tells_how_many_files_can_be_had(aiohttp_client: Any) -> None:
    class HalfOffline(samples.SampleIndex):
        async def categories(self) -> dict[str, int]:
            return {"document": 1}

    files = [samples.file_info("a.pdf"), samples.file_info("b.pdf")]
    for made, words in ((HalfOffline, "1 can be"), (samples.SampleIndex, "all can be")):
        page = await page_of(aiohttp_client, made(files, [samples.peer("Study")]), "/")
        assert f"{words} fetched now" in page.text


async def test_peers_on_a_files_page_go_by_their_names(aiohttp_client: Any) -> None:
    file = samples.file_info("a.pdf", owner="owner-of-the-file-1")
    sources = [
        samples.source(peer_id) for peer_id in ("source-of-the-file-1", "source-of-the-file-2", "unknown-to-everybody")
    ]
    names = {"owner-of-the-file-1": "Study", "source-of-the-file-1": "attic", "source-of-the-file-2": "attic"}
    peers = [samples.peer(name, id=peer_id) for peer_id, name in names.items()]
    page = await page_of(aiohttp_client, samples.SampleIndex([file], peers, sources=sources), f"/files/{file.id}")
    assert [text for text in page.texts["bdi"] if text in ("Study", "attic")] == ["Study", "attic", "attic"]
    shown = [text for text in page.texts["code"] if text.endswith("…")]
    assert shown == ["source-of-th…", "source-of-th…", "unknown-to-e…"]


async def test_a_peers_name_leads_to_its_own_page(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=[samples.peer("Study")]), "/peers")
    assert "http://192.168.1.20:9001/" in hrefs(page)


async def test_peers_of_one_name_show_the_beginning_of_their_ids(aiohttp_client: Any) -> None:
    peers = [samples.peer(name, id=f"id-of-a-peer-{n}") for n, name in enumerate(("nas", "nas", "attic"))]
    page = await page_of(aiohttp_client, samples.SampleIndex([samples.file_info("a.pdf")], peers), "/")
    marks = {a["title"]: "hidden" in a for a in page.all("code") if a.get("data-field") == "id" and a["title"]}
    assert marks == {"id-of-a-peer-0": False, "id-of-a-peer-1": False, "id-of-a-peer-2": True}


async def test_a_long_list_of_peers_is_cut_and_says_so(aiohttp_client: Any) -> None:
    peers = [samples.peer(f"p{n}", id=f"p{n}", is_online=False) for n in range(501)]
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=peers), "/peers")
    assert "500 peers shown" in page.text.replace("\u00a0", " ")
    page = await page_of(aiohttp_client, samples.SampleIndex(peers=peers[:500]), "/peers")
    assert "shown" not in page.text


async def test_a_file_that_is_at_hand_can_be_had_with_other_programs(aiohttp_client: Any) -> None:
    file, empty = samples.file_info("a.pdf", id="a" * 64), samples.file_info("empty", id="b" * 64, size=0)
    index = samples.SampleIndex([file, empty], sources=[samples.source("p")])
    links = hrefs(await page_of(aiohttp_client, index, f"/files/{file.id}"))
    assert {f"/api/v1/files/{file.id}.meta4", f"/api/v1/files/{file.id}.torrent"} < set(links)
    links = hrefs(await page_of(aiohttp_client, index, f"/files/{empty.id}"))
    assert f"/api/v1/files/{empty.id}.meta4" in links
    assert f"/api/v1/files/{empty.id}.torrent" not in links


async def test_a_file_of_which_only_pieces_are_at_hand_has_no_download(aiohttp_client: Any) -> None:
    file = samples.file_info("a.pdf", id="a" * 64)
    index = samples.SampleIndex([file], sources=[samples.source("p", complete=False)])
    page = await page_of(aiohttp_client, index, f"/files/{file.id}")
    assert "Nobody who has the whole file is online." in page.text
    assert "some pieces" in page.text
    assert not [link for link in hrefs(page) if link.startswith("/api/v1/")]
