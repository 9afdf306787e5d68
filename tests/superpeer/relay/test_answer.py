"""What an asker is told of a source's answer, whatever the source says."""

import base64

import pytest

from common import errors
from common.wire.relay import RelayHead
from superpeer.relay.answer import Unusable, answer_of, asked_headers, path_of
from tests.support.peers import content_id

ID = content_id("a")
DIGEST = f"sha-256=:{base64.b64encode(bytes.fromhex(ID)).decode()}:"


def told(kind: str = "download", status: int = 200, **headers: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer_of(kind, ID, RelayHead(status, named)).headers


def test_a_file_comes_as_a_file_whatever_its_source_calls_it() -> None:
    headers = told(Content_Length="5", Content_Type="text/html", ETag='"other"', Content_Disposition="inline")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == "attachment"
    assert headers["ETag"] == f'"{ID}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_a_name_is_passed_on_and_so_is_the_digest_that_is_the_id() -> None:
    headers = told(Content_Length="5", Content_Disposition='attachment; filename="a.txt"', Repr_Digest=DIGEST)
    assert headers["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert headers["Repr-Digest"] == DIGEST
    assert "Repr-Digest" not in told(Content_Length="5", Repr_Digest="sha-256=:AAAA:")


def test_headers_that_were_not_asked_for_are_not_passed_on() -> None:
    headers = told(Content_Length="5", Set_Cookie="a=b", Access_Control_Allow_Origin="*", Location="http://evil/")
    assert not {"Set-Cookie", "Access-Control-Allow-Origin", "Location"} & set(headers)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (200, {"Content-Length": "-1"}),
        (200, {"Content-Length": "x"}),
        (200, {"Content-Length": "٣"}),
        (206, {"Content-Length": "5"}),
        (206, {"Content-Length": "5", "Content-Range": "bytes 0-5/9"}),
        (206, {"Content-Length": "5", "Content-Range": "bytes */9"}),
        (206, {"Content-Length": "5", "Content-Range": "pieces 0-4/9"}),
    ],
)
def test_a_file_whose_length_is_not_sure_is_not_passed_on(status: int, headers: dict[str, str]) -> None:
    with pytest.raises(Unusable):
        answer_of("download", ID, RelayHead(status, headers))


def test_a_part_says_which() -> None:
    answer = answer_of("download", ID, RelayHead(206, {"Content-Length": "5", "Content-Range": "bytes 0-4/9"}))
    assert (answer.status, answer.length, answer.headers["Content-Range"]) == (206, 5, "bytes 0-4/9")


def test_a_piece_list_is_json_of_bounded_length() -> None:
    assert told("manifest", Content_Length="100", Content_Type="text/html")["Content-Type"] == "application/json"
    for headers in ({}, {"Content-Length": "99999999"}):
        with pytest.raises(Unusable):
            answer_of("manifest", ID, RelayHead(200, headers))


def test_what_goes_on_has_no_length() -> None:
    answer = answer_of("have", ID, RelayHead(200, {"Content-Type": "application/x-ndjson; charset=utf-8"}))
    assert (answer.length, answer.headers["Content-Type"]) == (None, "application/x-ndjson")
    assert told("have", Content_Type="text/html")["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "family", "code"),
    [
        (404, errors.NotFound, "file_not_found"),
        (409, errors.Conflict, "file_changed"),
        (412, errors.Outdated, "precondition_failed"),
        (416, errors.OutOfRange, "range_not_satisfiable"),
        (503, errors.Unavailable, "too_many_requests"),
        (500, errors.Unavailable, "source_unavailable"),
        (301, errors.Unavailable, "source_unavailable"),
        (204, errors.Unavailable, "source_unavailable"),
    ],
)
def test_a_refusal_is_told_in_our_own_words(status: int, family: type[errors.Refusal], code: str) -> None:
    with pytest.raises(family) as caught:
        answer_of("download", ID, RelayHead(status, {"Content-Type": "text/html"}))
    assert caught.value.code == code


def test_a_refusal_keeps_what_helps() -> None:
    with pytest.raises(errors.OutOfRange) as beyond:
        told(status=416, Content_Range="bytes */9")
    assert beyond.value.extra == {"size": 9}
    with pytest.raises(errors.Unavailable) as busy:
        answer_of("download", ID, RelayHead(503, {"Retry-After": "7"}, "too_many_requests", 3))
    assert (busy.value.retry_after, busy.value.extra) == (7.0, {"place": 3})
    with pytest.raises(errors.Unavailable) as pending:
        answer_of("manifest", ID, RelayHead(503, {}, "hashes_pending"))
    assert pending.value.code == "hashes_pending"
    with pytest.raises(errors.Unavailable) as used_up:
        answer_of("download", ID, RelayHead(429, {"Retry-After": "60"}, "quota_exceeded"))
    assert (used_up.value.code, used_up.value.retry_after) == ("quota_exceeded", 60.0)


def test_of_a_query_only_what_is_harmless_is_passed_on() -> None:
    assert path_of("have", ID, {"relay": "1", "follow": "true", "port": "9001"}) == f"/api/v1/have/{ID}?follow=true"
    assert path_of("download", ID, {"relay": "x"}) == f"/api/v1/download/{ID}"
    for query in ({"follow": "a b"}, {"follow": "\r\nX: y"}, {"a": "x" * 600}, {"#": ""}, {"../../x": "1"}):
        with pytest.raises(errors.Invalid):
            path_of("have", ID, query)


def test_of_an_askers_headers_only_conditions_and_ranges_are_passed_on() -> None:
    given = {"Range": "bytes=0-4", "If-Range": f'"{ID}"', "Cookie": "a=b", "Authorization": "Bearer x", "Host": "h"}
    assert asked_headers(given) == {"Range": "bytes=0-4", "If-Range": f'"{ID}"'}
    for value in ("bytes=" + "0-1," * 1000, "bytes=é", "a\x7f"):
        with pytest.raises(errors.Invalid):
            asked_headers({"Range": value})
