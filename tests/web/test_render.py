"""Every page, with every kind of content: escaped, under the policy, complete without the internet, labelled."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

import web as pages
from common.errors import CODES, NotFound, Refusal
from superpeer.dashboard.pages import MENU, failure
from tests.web import samples
from tests.web.html import Page
from web.render import CONTENT_SECURITY_POLICY, MenuItem, render, setup_pages

ROOT = Path(pages.__file__).parent
DOCUMENT = {
    "info": {"title": "Shoal", "version": "1", "description": f"Speaks `HTTP` {samples.SCRIPT}"},
    "paths": {"/x/{id}": {"get": {"summary": samples.SCRIPT, "tags": ["files"], "responses": {"200": {}}}}},
    "components": {"schemas": {"Thing": {"type": "object", "properties": {"a": {"type": "string"}}}}},
    "x-error-codes": {"not_found": "Nothing is here"},
}


def hostile_index() -> samples.SampleIndex:
    files = [
        samples.file_info(name, tags=[samples.SCRIPT, name], category=name, mime=name, names=list(samples.HOSTILE))
        for name in samples.HOSTILE
    ]
    peers = [
        samples.peer(name, id=f"p{n}", region=name, version=name, address=name)
        for n, name in enumerate(samples.HOSTILE)
    ]
    sources = [samples.source(f"p{n}", why=name, region=name, url=name) for n, name in enumerate(samples.HOSTILE)]
    return samples.SampleIndex(files, peers, sources=sources, paging={"next_cursor": samples.SCRIPT})


def hostile_library() -> samples.SampleLibrary:
    return samples.SampleLibrary(
        [samples.shared_file(n, tags=[n], category=n, is_available=len(n) % 2 > 0) for n in samples.HOSTILE]
    )


HOSTILE_FILE = f"/files/{samples.file_info(samples.HOSTILE[1]).id}"
PAGES = [
    pytest.param(kind, path, id=f"{kind} {path[:12]}")
    for kind, path in (
        *((kind, path) for kind in ("hostile", "empty") for path in ("/", "/search", "/peers", "/docs")),
        ("hostile", HOSTILE_FILE),
        ("hostile", "/search?q=%3Cscript%3E&tag=%22%3E%3Cb%3E&peer=%27&min_size=7&cursor=%3Cx%3E"),
        ("empty", "/search?q=nothing&category=image"),
        ("hostile peer", "/"),
        ("hostile peer", "/docs"),
        ("empty peer", "/"),
        ("empty peer", "/?q=nothing"),
    )
]


def application(kind: str) -> web.Application:
    if kind == "hostile":
        return samples.super_peer_app(hostile_index(), DOCUMENT)
    if kind == "empty":
        return samples.super_peer_app(samples.SampleIndex())
    if kind == "hostile peer":
        return samples.peer_app(hostile_library(), samples.peer_info(name=samples.SCRIPT), DOCUMENT)
    return samples.peer_app(samples.SampleLibrary(), samples.peer_info(is_registered=False, last_heartbeat=None))


async def page_of(aiohttp_client: Any, kind: str, path: str) -> Page:
    client: TestClient[Any, Any] = await aiohttp_client(application(kind))
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/html"
    assert answer.charset == "utf-8"
    return Page(await answer.text())


@pytest.mark.parametrize(("kind", "path"), PAGES)
class TestEveryPage:
    async def test_is_well_formed_and_has_no_id_twice(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        assert page.open == []
        assert len(page.ids()) == len(set(page.ids()))

    async def test_brings_no_script_style_or_handler_of_its_own(
        self, aiohttp_client: Any, kind: str, path: str
    ) -> None:
        page = await page_of(aiohttp_client, kind, path)
        assert all(re.match(r"/static/\w+\.js\?v=\w+$", script["src"]) for script in page.all("script"))
        assert "".join(page.texts.get("script", [])).strip() == ""
        assert page.all("style") == []
        names = {name for _, attributes in page.elements for name in attributes}
        assert not {name for name in names if name == "style" or name.startswith("on")}

    async def test_loads_nothing_from_elsewhere(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        loaded = [a["src"] for _, a in page.elements if "src" in a] + [a["href"] for a in page.all("link")]
        loaded += [a["href"] for a in page.all("use")]
        assert loaded
        assert all(address.startswith("/static/") for address in loaded)

    async def test_links_only_within_itself_and_to_web_addresses(
        self, aiohttp_client: Any, kind: str, path: str
    ) -> None:
        page = await page_of(aiohttp_client, kind, path)
        assert all(re.match(r"/(?!/)|#|https?://", link["href"]) for link in page.all("a"))

    async def test_points_at_ids_that_are_there(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        wanted = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
        wanted |= {a[name] for _, a in page.elements for name in ("for", "aria-labelledby") if name in a}
        assert wanted <= set(page.ids())

    async def test_uses_icons_that_are_drawn(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        drawn = set(re.findall(r'<symbol id="(\w+)"', (ROOT / "static/icons.svg").read_text()))
        assert {use["href"].partition("#")[2] for use in page.all("use")} <= drawn

    async def test_labels_every_control(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        labelled = {label["for"] for label in page.all("label")}
        controls = [a for tag in ("input", "select", "textarea") for a in page.all(tag) if a.get("type") != "hidden"]
        assert {control["id"] for control in controls} <= labelled

    async def test_shows_nothing_that_deceives_the_eye(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page.source)

    async def test_can_be_skipped_through_and_says_its_title(self, aiohttp_client: Any, kind: str, path: str) -> None:
        page = await page_of(aiohttp_client, kind, path)
        assert page.all("a")[0]["href"] == "#main"
        assert "main" in page.ids()
        assert "Shoal" in "".join(page.texts["title"])
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == 1


async def test_names_reach_the_page_as_text(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, "hostile", "/search")
    shown = page.texts["bdi"]
    assert samples.SCRIPT in shown
    assert "{{ 7*7 }}{% raw %}" in shown
    assert "&lt;b&gt;.txt" in shown
    assert "invoice\ufffdgpj.exe" in shown
    assert "مرحبا بالعالم.pdf" in shown
    assert "👨\u200d👩\u200d👧 family.jpg" in shown


async def test_an_answer_carries_the_policy(aiohttp_client: Any) -> None:
    client = await aiohttp_client(application("empty"))
    headers = (await client.get("/")).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-cache"


def test_the_policy_allows_only_what_is_ours() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.*")), ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    if path.suffix not in {".html", ".css", ".js", ".svg"}:
        return
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//\w+[.:]", text)
    assert "@import" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "static").glob("*.js")), ids=lambda path: path.name)
def test_scripts_make_no_markup_of_text(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc"
    assert not re.search(forbidden, path.read_text("utf-8"))


def test_jinja_comes_with_the_first_page_only() -> None:
    code = (
        "import sys, peer.control.pages, superpeer.dashboard.pages; print(*{'jinja2', 'markupsafe'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == ""


async def test_a_template_that_misses_a_value_fails(aiohttp_client: Any) -> None:
    async def handle(request: web.Request) -> web.Response:
        return render(request, "peers.html", {})

    app = web.Application()
    setup_pages(app)
    app.router.add_get("/", handle)
    client = await aiohttp_client(app)
    assert (await client.get("/")).status == 500


async def test_the_menu_marks_where_one_is(aiohttp_client: Any) -> None:
    page = await page_of(aiohttp_client, "empty", "/peers")
    assert [a["href"] for a in page.all("a") if "aria-current" in a] == ["/peers"]


class TestErrorPage:
    async def page(self, aiohttp_client: Any, refusal: Refusal, status: int, path: str = "/somewhere") -> Page:
        async def handle(request: web.Request) -> web.Response:
            return failure(request, refusal, status)

        app = web.Application()
        setup_pages(app, MENU)
        app.router.add_get("/{rest:.*}", handle)
        answer = await (await aiohttp_client(app)).get(path)
        assert answer.status == status
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        return Page(await answer.text())

    async def test_says_what_was_wrong_and_where_to_go(self, aiohttp_client: Any) -> None:
        refusal = NotFound("file_not_found", f"No file {samples.SCRIPT} `x` is known.")
        page = await self.page(aiohttp_client, refusal, 404)
        assert CODES["file_not_found"] in page.text
        assert f"No file {samples.SCRIPT} x is known." in page.text
        assert "x" in page.texts["code"]
        assert [a["href"] for a in page.all("a") if "button" in a.get("class", "")] == ["/", "/search"]
        assert "/docs#error-file_not_found" in [a["href"] for a in page.all("a")]

    async def test_offers_the_same_words_again_after_a_failed_search(self, aiohttp_client: Any) -> None:
        refusal = NotFound("cursor_expired", "Search again.")
        page = await self.page(aiohttp_client, refusal, 410, "/search?q=a%26b&cursor=old")
        assert "/search?q=a%26b" in [a["href"] for a in page.all("a")]

    async def test_offers_an_empty_search_when_there_were_no_words(self, aiohttp_client: Any) -> None:
        page = await self.page(aiohttp_client, NotFound("invalid_limit", "No."), 400, "/search?limit=x")
        assert "Start this search again" in page.text

    async def test_works_on_a_daemon_without_a_menu(self, aiohttp_client: Any) -> None:
        async def handle(request: web.Request) -> web.Response:
            return failure(request, NotFound("not_found", "No."), 404)

        app = web.Application()
        setup_pages(app, [MenuItem("/", "This peer", "home")])
        app.router.add_get("/", handle)
        assert (await (await aiohttp_client(app)).get("/")).status == 404
