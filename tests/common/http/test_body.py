import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from multidict import MultiDict

from common import errors
from common.http.body import MAX_DEPTH, OneOf, parse_json, read_json, to_query
from common.http.paging import Cursor, Limit
from tests.support.daemon import TinyDaemon, at, running, tiny_daemon
from tests.support.wire import alive, asked, connected, request_bytes

PATH = "/api/v1/say"
LARGE = 1024 * 1024


class Said(msgspec.Struct):
    """What the test's endpoint takes."""

    word: str = ""
    number: int | None = None
    ratio: float | None = None
    flag: bool | None = None
    inner: Any = None


async def say(request: web.Request, said: Said) -> Said:
    return said


def speaking(limit: int = LARGE) -> TinyDaemon:
    return tiny_daemon(at(PATH, say, method="POST", body=Said, answer=Said, limit=limit))


def nested(depth: int, innermost: str = "1") -> bytes:
    return b'{"inner":' + b"[" * (depth - 1) + innermost.encode() + b"]" * (depth - 1) + b"}"


WRONG = {
    "not JSON": b"{",
    "words": b"hello",
    "a second value": b"{}{}",
    "a trailing comma": b'{"word":"a",}',
    "single quotes": b"{'word':'a'}",
    "a comment": b"{} // no",
    "only spaces": b"   ",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"word":"a"}'.encode("utf-16"),
    "Latin-1": '{"word":"é"}'.encode("latin-1"),
    "a cut character": b'{"word":"\xc3"}',
    "an overlong character": b'{"word":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"word":"\xed\xa0\x80"}',
    "a raw NUL": b'{"word":"\0"}',
    "a raw newline in a string": b'{"word":"\n"}',
    "an escaped NUL": rb'{"word":"a\u0000b"}',
    "an escaped NUL where nobody looks": rb'{"unknown":{"x":["\u0000"]}}',
    "an escaped NUL in a key": rb'{"un\u0000known":1}',
    "a lone high surrogate": rb'{"word":"\ud800"}',
    "a lone low surrogate": rb'{"word":"\udfff"}',
    "surrogates the wrong way round": rb'{"word":"\udc00\ud800"}',
    "a lone surrogate in a key": rb'{"inner":{"\uD800":1}}',
    "a key twice": b'{"word":"a","word":"a"}',
    "a key twice, escaped once": rb'{"word":"a","w\u006frd":"b"}',
    "an unknown key twice": b'{"x":1,"x":2}',
    "a key twice deep inside": b'{"inner":[[{"deep":{"a":1,"b":2,"a":3}}]]}',
    "NaN": b'{"ratio":NaN}',
    "Infinity": b'{"ratio":Infinity}',
    "negative Infinity": b'{"ratio":-Infinity}',
    "NaN where nobody looks": b'{"unknown":[NaN]}',
    "1e999": b'{"ratio":1e999}',
    "-1E+999": b'{"ratio":-1E+999}',
    "1e999 where nobody looks": b'{"unknown":{"x":1.5e999}}',
    "a float of 400 digits": b'{"ratio":' + b"9" * 400 + b".0}",
    "2^53+1": b'{"number":9007199254740993}',
    "-2^53-1": b'{"number":-9007199254740993}',
    "2^63": b'{"number":9223372036854775808}',
    "2^63 where nobody looks": b'{"unknown":[9223372036854775808]}',
    "10,000 digits": b'{"number":' + b"9" * 10_000 + b"}",
    "10,000 negative digits": b'{"number":-' + b"9" * 10_000 + b"}",
    "10,000 digits where nobody looks": b'{"unknown":' + b"1" * 10_000 + b"}",
    "one level too deep": nested(MAX_DEPTH + 1),
    "one level too deep, with nothing in it": nested(MAX_DEPTH + 1, ""),
    "one level too deep, where nobody looks": nested(MAX_DEPTH + 1).replace(b"inner", b"other"),
    "one object too deep": b'{"inner":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "100,000 brackets": b"[" * 100_000,
    "100,000 balanced brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 braces": b'{"inner":' * 100_000,
    "a list": b"[]",
    "a string": b'"word"',
    "null": b"null",
    "a number for a word": b'{"word":1}',
    "null for a word": b'{"word":null}',
    "a word for a number": b'{"number":"1"}',
    "a float for a number": b'{"number":1.5}',
    "a round float for a number": b'{"number":1.0}',
    "a large float for a number": b'{"number":1e300}',
    "a truth for a number": b'{"number":true}',
    "a number for a truth": b'{"flag":1}',
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_body_is_refused(body: bytes) -> None:
    with pytest.raises(errors.Invalid) as refused:
        parse_json(body, Said)
    assert refused.value.code == "invalid_body"


async def test_every_wrong_body_gets_a_problem_and_the_next_request_is_served() -> None:
    async with running(speaking()) as daemon:
        for name, body in WRONG.items():
            assert (await asked(daemon.port, PATH, "POST", body)).problem() == (400, "invalid_body"), name
            assert await alive(daemon.port), name


RIGHT = {
    "nothing known": b"{}",
    "unknown keys": b'{"unknown":{"word":1},"word":"a"}',
    "spaces around": b' \r\n\t{"word" : "a"} \n',
    "every kind": b'{"word":"a","number":1,"ratio":1.5,"flag":true,"inner":[1,"x",null,{"y":false}]}',
    "2^53": b'{"number":9007199254740992}',
    "-2^53": b'{"number":-9007199254740992}',
    "a long fraction": b'{"ratio":0.' + b"1" * 1000 + b"}",
    "a small number": b'{"ratio":1e-999}',
    "a number in a string": b'{"word":"9223372036854775808 1e999"}',
    "brackets in a string": b'{"word":"' + b"[{" * 1000 + b'"}',
    "many lists side by side": b'{"inner":[' + b"[]," * 1000 + b"[]]}",
    "a pair of surrogates": rb'{"word":"\ud83d\ude00"}',
    "an emoji": '{"word":"😀"}'.encode(),
    "a character outside ASCII": '{"word":"é\u202e"}'.encode(),
    "as deep as may be": nested(MAX_DEPTH),
    "as deep as may be, with nothing in it": nested(MAX_DEPTH, ""),
    "as deep as may be, in objects": b'{"inner":' * MAX_DEPTH + b'"x"' + b"}" * MAX_DEPTH,
    "a word that looks like a backslash": rb'{"word":"\\u0000"}',
}


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_body_is_what_it_says(body: bytes) -> None:
    assert parse_json(body, Any) == json.loads(body)


async def test_every_right_body_comes_through() -> None:
    async with running(speaking()) as daemon:
        for name, body in RIGHT.items():
            answer = await asked(daemon.port, PATH, "POST", body)
            assert answer.status == 200, name
            meant = {key: value for key, value in json.loads(body).items() if key in Said.__struct_fields__}
            assert answer.json() == msgspec.to_builtins(Said()) | meant, name


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; profile=x",
    ],
)
async def test_json_in_utf8_is_taken(kind: str) -> None:
    async with running(speaking()) as daemon:
        answer = await asked(daemon.port, PATH, "POST", b'{"word":"a"}', Content_Type=kind)
        assert answer.status == 200
        assert answer.json()["word"] == "a"


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/problem+json",
        "application/jsonx",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=nonsense",
        "json",
        "/",
        ";;;",
    ],
)
async def test_another_type_or_charset_is_refused(kind: str) -> None:
    async with running(speaking()) as daemon:
        answer = await asked(daemon.port, PATH, "POST", b'{"word":"a"}', Content_Type=kind)
        assert answer.problem() == (415, "unsupported_media_type")
        assert await alive(daemon.port)


async def test_a_body_without_a_type_is_refused() -> None:
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        wire.send(b"POST /api/v1/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert (await wire.answer()).problem() == (415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "nonsense", "gzip, gzip"])
async def test_a_coded_body_is_refused_unread(coding: str) -> None:
    async with running(speaking()) as daemon:
        answer = await asked(daemon.port, PATH, "POST", b"\x1f\x8b" + b"\0" * 5000, Content_Encoding=coding)
        assert answer.problem() == (415, "unsupported_encoding")
        assert await alive(daemon.port)


@pytest.mark.parametrize("coding", ["chunked", "Chunked"])
async def test_a_body_in_chunks_is_refused(coding: str) -> None:
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        wire.request(PATH, "POST", Transfer_Encoding=coding, Content_Type="application/json")
        wire.send(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
        assert (await wire.answer()).problem() == (411, "length_required")
        assert await alive(daemon.port)


async def test_endless_chunks_are_refused_and_cut() -> None:
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        wire.request(PATH, "POST", Transfer_Encoding="chunked", Content_Type="application/json")
        wire.send(b"1\r\n \r\n" * 10_000)
        assert (await wire.answer()).problem() == (411, "length_required")
        assert await wire.ended()
        assert await alive(daemon.port)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "nonsense"])
async def test_an_empty_body_is_no_body_whatever_its_type(kind: str) -> None:
    async with running(speaking()) as daemon:
        answer = await asked(daemon.port, PATH, "POST", Content_Length="0", Content_Type=kind)
        assert answer.problem() == (400, "body_required")
        assert (await asked(daemon.port, PATH, "POST")).problem() == (400, "body_required")


async def test_where_no_body_is_needed_none_is_none() -> None:
    async def handle(request: web.Request, said: Said | None) -> Said:
        return said or Said(word="nothing")

    endpoint = at(PATH, handle, method="POST", body=Said, body_required=False)
    async with running(tiny_daemon(endpoint)) as daemon:
        assert (await asked(daemon.port, PATH, "POST")).json()["word"] == "nothing"
        assert (await asked(daemon.port, PATH, "POST", b'{"word":"a"}')).json()["word"] == "a"


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    body = b'{"word":"a"}'
    async with running(speaking(limit=len(body))) as daemon:
        assert (await asked(daemon.port, PATH, "POST", body)).status == 200
        assert (await asked(daemon.port, PATH, "POST", body + b" ")).problem() == (413, "too_large")
        assert await alive(daemon.port)


async def test_a_body_that_says_it_is_huge_is_refused_before_it_comes() -> None:
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        wire.request(PATH, "POST", Content_Length=str(10**15), Content_Type="application/json")
        assert (await wire.answer()).problem() == (413, "too_large")
        assert await wire.ended()
        assert await alive(daemon.port)


async def test_a_body_in_many_pieces_is_one_body() -> None:
    body = json.dumps({"word": "x" * 300_000}).encode()
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        data = request_bytes(PATH, "POST", body)
        for start in range(0, len(data), 10_007):
            wire.send(data[start : start + 10_007])
            await wire.writer.drain()
        assert (await wire.answer()).json()["word"] == "x" * 300_000


async def test_a_body_that_does_not_come_in_time_is_refused_and_its_connection_closed() -> None:
    async def handle(request: web.Request) -> Said | None:
        return await read_json(request, Said, grace=0.02)

    endpoint = at(PATH, handle, method="POST")
    async with running(tiny_daemon(endpoint)) as daemon, connected(daemon.port) as wire:
        wire.send(request_bytes(PATH, "POST", b'{"word":"a"}')[:-1])
        assert (await wire.answer()).problem() == (408, "body_too_slow")
        assert await wire.ended()
        assert await alive(daemon.port)


async def test_a_sender_that_leaves_in_the_middle_of_its_body_harms_nobody() -> None:
    async with running(speaking()) as daemon, connected(daemon.port) as wire:
        wire.send(request_bytes(PATH, "POST", b'{"word":"a"}')[:-1])
        wire.writer.write_eof()
        assert await wire.ended()
        assert await alive(daemon.port)


async def test_what_follows_a_refused_body_is_not_taken_for_a_request() -> None:
    hidden = request_bytes("/api/v1/ping")
    async with running(speaking(limit=10)) as daemon, connected(daemon.port) as wire:
        wire.send(request_bytes(PATH, "POST", hidden))
        assert (await wire.answer()).problem() == (413, "too_large")
        assert await wire.ended()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
).filter(lambda value: depth_of(value) <= MAX_DEPTH)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(documents, st.booleans(), st.sampled_from([None, 2]))
def test_whatever_json_may_say_comes_through(value: Any, escaped: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    assert parse_json(raw, Any) == value


@given(st.binary(max_size=200) | st.text('[]{}",:\\u0d8dfNaN1e-+.9 \0', max_size=60).map(str.encode))
def test_whatever_comes_is_a_value_or_a_refusal(raw: bytes) -> None:
    try:
        value = parse_json(raw, Any)
    except errors.Invalid as refusal:
        assert refusal.code == "invalid_body"
    else:
        assert depth_of(value) <= MAX_DEPTH
        # What was taken can be stored and sent on.
        assert b"\0" not in json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        msgspec.json.encode(value)


@given(st.integers())
def test_integers_are_taken_up_to_two_to_the_fifty_third(number: int) -> None:
    check_integer(number)


@given(st.integers(-40, 40), st.sampled_from([-1, 1]))
def test_integers_near_the_bound_are_told_apart(offset: int, sign: int) -> None:
    check_integer(sign * (2**53 + offset))


def check_integer(number: int) -> None:
    raw = json.dumps([number]).encode()
    if abs(number) <= 2**53:
        assert parse_json(raw, list[int]) == [number]
    else:
        with pytest.raises(errors.Invalid, match=r"2\^53"):
            parse_json(raw, list[int])


class Cat(msgspec.Struct):
    claws: int


class Dog(msgspec.Struct):
    bark: str


ANIMAL = OneOf((Cat, Dog), lambda keys: Cat if "claws" in keys else Dog)


def test_a_body_of_one_of_two_kinds_is_of_the_kind_that_its_keys_tell() -> None:
    assert parse_json(b'{"claws":18}', ANIMAL) == Cat(18)
    assert parse_json(b'{"bark":"wau"}', ANIMAL) == Dog("wau")


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"null", b'"claws"', b'{"claws":"many"}'])
def test_a_body_of_neither_kind_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.Invalid):
        parse_json(raw, ANIMAL)


class Asked(msgspec.Struct):
    """A query with every kind of parameter."""

    q: str = ""
    tag: list[str] = msgspec.field(default_factory=list)
    either: Annotated[list[str], Meta(max_length=2)] | None = None
    size: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    online: bool = True
    since: datetime | None = None
    sort: Literal["name", "size"] = "name"
    limit: Limit = 50
    cursor: Cursor | None = None
    ext: str | None = msgspec.field(default=None, name="extension")


def test_a_query_is_read_as_its_types_say() -> None:
    query = MultiDict([("q", "a b"), ("size", "7"), ("online", "false"), ("sort", "size"), ("limit", "1000")])
    assert to_query(query, Asked) == Asked(q="a b", size=7, online=False, sort="size", limit=1000)


def test_unknown_parameters_are_ignored() -> None:
    assert to_query(MultiDict([("nonsense", "1"), ("_", "\0"), ("Q", "a")]), Asked) == Asked()


def test_of_a_repeated_parameter_the_first_counts_and_a_list_takes_all() -> None:
    query = MultiDict([("q", "1"), ("tag", "a"), ("q", "2"), ("tag", "b"), ("tag", "")])
    assert to_query(query, Asked) == Asked(q="1", tag=["a", "b", ""])


def test_a_plain_dict_is_a_query_too() -> None:
    assert to_query({"q": "a", "tag": "b", "limit": "2"}, Asked) == Asked(q="a", tag=["b"], limit=2)


def test_a_parameter_has_the_name_that_it_has_on_the_wire() -> None:
    assert to_query({"extension": "txt", "ext": "no"}, Asked) == Asked(ext="txt")


@pytest.mark.parametrize("text", ["null", "true", "1", "1e5", '"', "é", "\x01"])
def test_words_stay_words(text: str) -> None:
    assert to_query({"q": text, "extension": text}, Asked) == Asked(q=text, ext=text)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("limit", "0", "invalid_limit"),
        ("limit", "1001", "invalid_limit"),
        ("limit", "-1", "invalid_limit"),
        ("limit", "", "invalid_limit"),
        ("limit", "ten", "invalid_limit"),
        ("limit", "1.5", "invalid_limit"),
        ("limit", "0x10", "invalid_limit"),
        ("limit", "٥", "invalid_limit"),
        ("limit", "NaN", "invalid_limit"),
        ("limit", "9" * 30, "invalid_limit"),
        ("limit", "9" * 4000, "invalid_limit"),
        ("limit", "null", "invalid_limit"),
        ("sort", "", "invalid_sort"),
        ("sort", "age", "invalid_sort"),
        ("sort", "NAME", "invalid_sort"),
        ("cursor", "x" * 1025, "invalid_cursor"),
        ("size", "-1", "invalid_parameter"),
        ("size", "large", "invalid_parameter"),
        ("size", str(2**53 + 1), "invalid_parameter"),
        ("size", "9" * 4000, "invalid_parameter"),
        ("online", "maybe", "invalid_parameter"),
        ("q", "a\0b", "invalid_parameter"),
        ("tag", "\0", "invalid_parameter"),
        ("sort", "name\0", "invalid_parameter"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, text: str, code: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        to_query(MultiDict([(name, text)]), Asked)
    assert refused.value.code == code
    assert name in refused.value.detail


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sort", "age", "sort must be one of name, size."),
        ("limit", "0", "limit must be a number from 1 to 1000."),
        ("limit", "ten", "limit must be a number from 1 to 1000."),
        ("size", "-1", "size must be a number from 0 to 9007199254740992."),
        ("online", "maybe", "online must be true or false."),
        ("since", "yesterday", "since must be a date and time such as 2026-01-31T12:00:00Z."),
        ("cursor", "x" * 1025, "cursor must be a text of at most 1024 characters."),
    ],
)
def test_a_wrong_parameter_says_what_is_taken(name: str, text: str, said: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        to_query({name: text}, Asked)
    assert refused.value.detail == said


def test_one_wrong_value_of_a_list_refuses_the_parameter() -> None:
    with pytest.raises(errors.Invalid, match="tag"):
        to_query(MultiDict([("tag", "a"), ("tag", "b\0")]), Asked)
    with pytest.raises(errors.Invalid, match="either must be given at most 2 times, each a text"):
        to_query(MultiDict([("either", "a"), ("either", "b"), ("either", "c")]), Asked)


async def ask(request: web.Request, asked: Asked) -> Asked:
    return asked


ASK = at("/api/v1/ask", ask, query=Asked)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("q=%00", "invalid_parameter"),
        ("limit=x", "invalid_limit"),
        ("sort=x", "invalid_sort"),
        ("size=-1", "invalid_parameter"),
    ],
)
async def test_a_wrong_query_is_answered_by_a_problem(query: str, code: str) -> None:
    async with running(tiny_daemon(ASK)) as daemon:
        assert (await asked(daemon.port, f"/api/v1/ask?{query}")).problem() == (400, code)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=a+b%20c", "a b c"),
        ("q=%C3%A9", "é"),
        ("q=a&q=b", "a"),
        ("q=", ""),
        ("q", ""),
        ("&&;&=&q=a", "a"),
        ("q=%F0%9F%98%80", "😀"),
    ],
)
async def test_a_query_arrives_decoded(query: str, words: str) -> None:
    async with running(tiny_daemon(ASK)) as daemon:
        assert (await asked(daemon.port, f"/api/v1/ask?{query}")).json()["q"] == words


@pytest.mark.parametrize("query", ["q=%ff", "q=%ED%A0%80", "q=%zz", "q=%", "q=%2", "%ff=%ff", "q[]=1", "=" * 1000])
async def test_a_query_in_a_strange_coding_is_never_an_error_of_ours(query: str) -> None:
    async with running(tiny_daemon(ASK)) as daemon:
        answer = await asked(daemon.port, f"/api/v1/ask?{query}")
        assert answer.status == 200
        answer.body.decode("utf-8")
