import base64
import json
import re
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from common import errors
from common.http.paging import decode_cursor, encode_cursor, page_headers
from tests.support.daemon import at, running, tiny_daemon
from tests.support.wire import Answer, asked


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers(-(2**53), 2**53))
def test_a_cursor_comes_back_as_it_was_made(name: str, number: int) -> None:
    cursor = encode_cursor("files", name, number)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert decode_cursor(cursor, "files", (str, int)) == [name, number]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_cursor_may_hold_a_rate(rate: float) -> None:
    assert decode_cursor(encode_cursor("rates", rate), "rates", (float,)) == [rate]


def made_of(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "x",
        "nonsense",
        "é",
        "\ud800",
        "a\0b",
        "/../",
        "A" * 1024,
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 768).decode(),
        base64.urlsafe_b64encode(b"[" * 384 + b"]" * 384).decode(),
        made_of(None),
        made_of({"files": 1}),
        made_of([]),
        made_of(["files"]),
        made_of(["files", "a"]),
        made_of(["files", "a", 1, 2]),
        made_of(["peers", "a", 1]),
        made_of(["files", 1, "a"]),
        made_of(["files", "a", "1"]),
        made_of(["files", "a", 1.5]),
        made_of(["files", "a", None]),
        made_of(["files", None, 1]),
        made_of(["files", ["a"], 1]),
        made_of([["files"], "a", 1]),
        # What a database cannot store or compare.
        made_of(["files", "a", 2**63]),
        made_of(["files", "a", -(10**300)]),
        made_of(["files", "a\0", 1]),
        made_of(["files", "\ud800", 1]),
        base64.urlsafe_b64encode(b'["files","a",1e999]').decode(),
        base64.urlsafe_b64encode(b'["files","a",NaN]').decode(),
    ],
)
def test_what_is_not_a_cursor_of_this_list_is_refused(cursor: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        decode_cursor(cursor, "files", (str, int))
    assert refused.value.code == "invalid_cursor"


@given(st.text(max_size=1024) | st.binary(max_size=768).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_whatever_comes_is_a_cursor_or_a_refusal(cursor: str) -> None:
    try:
        values = decode_cursor(cursor, "files", (int,))
    except errors.Invalid as refusal:
        assert refusal.code == "invalid_cursor"
    else:
        assert abs(values[0]) <= 2**53


async def page_of(target: str, total_exact: bool = True, next_cursor: str | None = "next") -> Answer:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(headers=page_headers(request, 7, total_exact, next_cursor))

    async with running(tiny_daemon(at("/api/v1/list", handle))) as daemon:
        return await asked(daemon.port, target)


def next_of(answer: Answer) -> URL:
    match = re.fullmatch(r'<([^<>"\s]*)>; rel="next"', answer.headers["Link"])
    assert match, answer.headers["Link"]
    return URL(match[1])


async def test_a_page_tells_the_total_and_where_the_next_is() -> None:
    answer = await page_of("/api/v1/list?q=a+b&limit=5&tag=x&tag=y&cursor=old")
    assert answer.headers["X-Total-Count"] == "7"
    assert "X-Total-Exact" not in answer.headers
    following = next_of(answer)
    assert following.path == "/api/v1/list"
    assert list(following.query.items()) == [
        ("q", "a b"),
        ("limit", "5"),
        ("tag", "x"),
        ("tag", "y"),
        ("cursor", "next"),
    ]


async def test_the_last_page_names_no_next() -> None:
    answer = await page_of("/api/v1/list", next_cursor=None)
    assert answer.headers["X-Total-Count"] == "7"
    assert "Link" not in answer.headers


async def test_a_lower_bound_is_told_as_such() -> None:
    assert (await page_of("/api/v1/list", total_exact=False)).headers["X-Total-Exact"] == "false"


@pytest.mark.parametrize(
    "query",
    ["q=%0d%0aSet-Cookie:%20a=b", 'q=>;%20rel="x"', "q=%3E%3C%22", "q=%00", "q=%ff", "q=\xc3\xa9"],
)
async def test_no_query_breaks_out_of_the_link(query: str) -> None:
    answer = await page_of(f"/api/v1/list?{query}")
    if answer.status == 200:
        assert next_of(answer).query["cursor"] == "next"
        assert "Set-Cookie" not in answer.headers
    else:
        assert answer.problem() == (400, "bad_request")
