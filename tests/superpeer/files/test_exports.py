"""Metalink and torrent documents, whatever the file is called. Pure."""

import hashlib
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.names import safe_name
from common.content.torrent_pieces import HASH
from superpeer.files.exports import MOST_URLS, Export, bencode, metalink, torrent
from tests.support.exports import bdecode, metalink_of

ID = hashlib.sha256(b"").hexdigest()
HOSTILE = [
    '"><url>http://evil/</url>',
    "a & b <c>.txt",
    "]]>",
    "../../etc/passwd",
    "\ufffe\uffff.txt",
    "\ud800",
    "a\nb",
    "",
]


def export(name: str = "a.txt", size: int = 5, sha256: str | None = ID, urls: Any = ("http://127.0.0.1/x",)) -> Export:
    return Export(name, size, sha256, list(urls))


# Metalink


def test_a_metalink_says_all_that_a_program_needs() -> None:
    told = metalink_of(metalink(export("dir/a.txt", 7, ID, ["http://127.0.0.1:1/a?b=1&c=2", "http://[::1]:2/"])))
    assert (told.name, told.size, told.sha256) == ("a.txt", 7, ID)
    assert told.urls == ["http://127.0.0.1:1/a?b=1&c=2", "http://[::1]:2/"]


def test_without_a_sha256_it_names_none() -> None:
    assert metalink_of(metalink(export(sha256=None))).sha256 is None


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_document(name: str) -> None:
    told = metalink_of(metalink(export(name)))
    assert told.urls == ["http://127.0.0.1/x"]
    assert "/" not in told.name and told.name not in ("", ".", "..")


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_name_and_address_leaves_a_document(name: str, url: str) -> None:
    told = metalink_of(metalink(export(name, urls=[url.replace("\ud800", "")])))
    assert len(told.urls) == 1
    assert told.name == safe_name(told.name)


def test_no_more_addresses_than_anybody_needs() -> None:
    many = [f"http://127.0.0.1:{n}/" for n in range(MOST_URLS + 50)]
    assert metalink_of(metalink(export(urls=many))).urls == many[:MOST_URLS]
    assert bdecode(torrent(export(urls=many), b"x" * HASH))[b"url-list"] == [u.encode() for u in many[:MOST_URLS]]


def test_the_elements_stand_in_the_order_of_the_standard() -> None:
    root = ElementTree.fromstring(metalink(export()))
    names = [element.tag.rpartition("}")[2] for element in root[1]]
    assert names == ["size", "hash", "url"]


# Torrent


def test_a_torrent_says_all_that_a_program_needs() -> None:
    size = 3 * 256 * 1024 + 1
    told = bdecode(torrent(export("x/ü.txt", size, urls=["http://127.0.0.1/x"]), b"h" * HASH * 4))
    assert told == {
        b"created by": b"Shoal",
        b"info": {
            b"length": size,
            b"name": "ü.txt".encode(),
            b"piece length": 256 * 1024,
            b"pieces": b"h" * HASH * 4,
            b"private": 1,
        },
        b"url-list": [b"http://127.0.0.1/x"],
    }


@pytest.mark.parametrize("pieces", [b"", b"h" * 19, b"h" * 21, b"h" * 40])
def test_hashes_that_do_not_fit_the_size_make_no_torrent(pieces: bytes) -> None:
    with pytest.raises(ValueError, match="1 torrent pieces"):
        torrent(export(), pieces)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_torrent_names_a_file_that_any_disk_takes(name: str) -> None:
    found = bdecode(torrent(export(name), b"h" * HASH))[b"info"][b"name"].decode()
    assert found == safe_name(found)


BENCODABLE: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(), st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
)


def as_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.encode(): as_bytes(item) for key, item in value.items()}
    return [as_bytes(item) for item in value] if isinstance(value, list) else value


@given(BENCODABLE)
def test_what_is_bencoded_reads_back_as_it_was(value: Any) -> None:
    assert bdecode(bencode(value)) == as_bytes(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, b"i0e"),
        (-7, b"i-7e"),
        (b"", b"0:"),
        ("ü", b"2:\xc3\xbc"),
        ([], b"le"),
        ({"b": 1, "a": [b"x"]}, b"d1:al1:xe1:bi1ee"),
        ({"é": 1, "z": 2}, b"d1:zi2e2:\xc3\xa9i1ee"),
    ],
)
def test_bencoding_is_what_the_standard_says(value: Any, written: bytes) -> None:
    assert bencode(value) == written


@pytest.mark.parametrize("value", [None, True, 1.5, object(), [None]])
def test_what_has_no_bencoding_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        bencode(value)
