"""What a source may say before the bytes: little, bounded, and nothing else than was asked."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.grid import Span
from peer.downloads.answer_head import (
    LARGEST_HEAD,
    MAX_RETRY_AFTER,
    MOST_HEADERS,
    Head,
    accepted,
    chosen,
    parse_head,
    read_head,
)
from peer.downloads.standing import SourceTrouble

SIZE = 1000
PART = Span(100, 200)


def part(**headers: str) -> Head:
    named = {"content-range": "bytes 100-199/1000", "content-length": "100"}
    return Head(206, named | {name.replace("_", "-"): value for name, value in headers.items()})


def outcome_of(head: Head, wanted: Span = PART, whole_too: bool = False) -> str:
    with pytest.raises(SourceTrouble) as caught:
        accepted(head, wanted, SIZE, whole_too)
    return caught.value.outcome


def read(*sent: bytes, closes: bool = True, patience: float = 5.0) -> tuple[Head, bytes]:
    """What is read of a source that sends this, the parts one after another."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with contextlib.suppress(OSError):  # more may come than is read
            for each in sent:
                theirs.sendall(each)
            if closes:
                theirs.shutdown(socket.SHUT_WR)

    with ours, theirs:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            head, rest = read_head(ours, memoryview(bytearray(64 * 1024)), time.monotonic() + patience)
            return head, bytes(rest)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            sender.join()


def test_a_head_and_the_bytes_that_came_with_it() -> None:
    head, rest = read(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3 \r\nX-A:\tb\r\nx-a: c\r\n\r\nabc")
    assert head == Head(206, {"content-length": "3", "x-a": "b, c"})
    assert rest == b"abc"
    assert head.number("content-length") == 3


@pytest.mark.parametrize("at", range(1, 29))
def test_a_head_that_comes_in_two_is_one(at: int) -> None:
    text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nab"
    head, _ = read(text[:at], text[at:])
    assert head == Head(200, {"a": "b"})


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (b"", "broken"),
        (b"HTTP/1.1 200 OK\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * LARGEST_HEAD, "refused"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (LARGEST_HEAD // 6 + 1), "refused"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MOST_HEADERS + 1) + b"\r\n", "refused"),
        (b"HTTP/2 200\r\n\r\n", "refused"),
        (b"HTTP/1.1 2000\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\na : b\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\na:" + b" " * 15_000 + b"\0\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\na:" + b"\t \r" * 5_000 + b"\r\n\r\n", "refused"),
    ],
)
def test_what_is_no_head_is_refused(sent: bytes, outcome: str) -> None:
    with pytest.raises(SourceTrouble) as caught:
        read(sent)
    assert caught.value.outcome == outcome


def test_one_that_never_ends_its_head_has_its_time() -> None:
    with pytest.raises((SourceTrouble, TimeoutError)):
        read(b"HTTP/1.1 200 OK\r\n", closes=False, patience=0.01)


@given(st.binary(max_size=600))
def test_no_bytes_whatsoever_break_it(text: bytes) -> None:
    try:
        head = parse_head(text)
    except SourceTrouble:
        return
    assert 100 <= head.status < 600


HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-range", "content-length", "retry-after", "transfer-encoding", "content-encoding", "x-queue-place"]
    ),
    st.one_of(st.text(max_size=30), st.integers().map(str), st.just("bytes 100-199/1000"), st.just("100")),
)


@given(st.integers(100, 599), HEADERS)
def test_no_head_whatsoever_is_taken_for_other_bytes(status: int, headers: dict[str, str]) -> None:
    head = Head(status, headers)
    takes: list[Callable[[], Span | None]] = [lambda: accepted(head, PART, SIZE, True), lambda: chosen(head, SIZE)]
    for take in takes:
        try:
            span = take()
        except SourceTrouble as trouble:
            assert trouble.retry_after is None or 0 <= trouble.retry_after <= MAX_RETRY_AFTER
            continue
        if span is not None:
            assert 0 <= span.start < span.stop <= SIZE
            assert head.number("content-length") == span.length


def test_the_part_that_was_asked_for_is_taken() -> None:
    assert accepted(part(), PART, SIZE, False) == PART
    assert accepted(part(content_encoding="identity"), PART, SIZE, False) == PART


def test_the_whole_is_taken_where_it_was_asked_for_or_nothing_else_can_be_had() -> None:
    whole = Head(200, {"content-length": "1000"})
    assert accepted(whole, Span(0, SIZE), SIZE, False) == Span(0, SIZE)
    assert accepted(whole, PART, SIZE, True) == Span(0, SIZE)
    assert outcome_of(whole) == "refused"


@pytest.mark.parametrize(
    "head",
    [
        part(content_range="bytes 0-99/1000"),
        part(content_range="bytes 100-199/*"),
        part(content_range="bytes 100-199/1001"),
        part(content_range="bytes 100-198/1000"),
        part(content_length="99"),
        part(content_length="-100"),
        part(content_length="100, 100"),
        part(content_length="١٠٠"),
        part(transfer_encoding="chunked"),
        part(content_encoding="gzip"),
        Head(206, {"content-length": "100"}),
        Head(200, {"content-length": "100"}),
        Head(302, {"location": "/"}),
        Head(100),
        Head(404),
        Head(403),
    ],
)
def test_anything_else_is_refused(head: Head) -> None:
    assert outcome_of(head) == "refused"


def test_trouble_is_told_for_what_it_is() -> None:
    assert outcome_of(Head(500)) == "broken"
    with pytest.raises(SourceTrouble) as caught:
        accepted(Head(503, {"retry-after": "99999999", "x-queue-place": "4"}), PART, SIZE, False)
    busy = caught.value
    assert (busy.outcome, busy.retry_after, busy.place) == ("busy", MAX_RETRY_AFTER, 4)
    with pytest.raises(SourceTrouble) as caught:
        accepted(Head(429, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}), PART, SIZE, False)
    assert (caught.value.outcome, caught.value.retry_after, caught.value.place) == ("busy", None, 0)


def test_a_source_may_choose_any_part_or_none() -> None:
    assert chosen(part(), SIZE) == PART
    for status in (204, 404, 405):
        assert chosen(Head(status), SIZE) is None


@pytest.mark.parametrize(
    "span", ["bytes 100-99/1000", "bytes 900-1000/1000", "bytes 100-199/999", "bytes */1000", "100-199/1000", ""]
)
def test_it_chooses_nothing_that_the_file_does_not_have(span: str) -> None:
    with pytest.raises(SourceTrouble) as caught:
        chosen(part(content_range=span), SIZE)
    assert caught.value.outcome == "refused"


@pytest.mark.parametrize(("value", "keeps"), [("close", False), ("Close", False), ("keep-alive", True), ("", True)])
def test_whether_the_connection_is_kept(value: str, keeps: bool) -> None:
    assert Head(200, {"connection": value}).keeps_alive is keeps
