"""Readers of what the super-peer exports, as strict as the standards: what does not fit them fails a test."""

import hashlib
from typing import Any, NamedTuple
from xml.etree import ElementTree

NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"


class Metalink(NamedTuple):
    """One file of a Metalink document; `urls` by priority."""

    name: str
    size: int
    sha256: str | None
    urls: list[str]


def metalink_of(document: bytes) -> Metalink:
    """The one file of a Metalink 4 document (RFC 5854)."""
    root = ElementTree.fromstring(document)
    assert root.tag == f"{NAMESPACE}metalink"
    assert all(element.tag.startswith(NAMESPACE) for element in root.iter())
    (file,) = root.findall(f"{NAMESPACE}file")
    name, size = file.get("name"), file.find(f"{NAMESPACE}size")
    assert name and size is not None and size.text and size.text.isdigit()
    hashes = file.findall(f"{NAMESPACE}hash")
    assert all(found.get("type") == "sha-256" for found in hashes) and len(hashes) <= 1
    urls = file.findall(f"{NAMESPACE}url")
    assert [url.get("priority") for url in urls] == [str(n) for n in range(1, len(urls) + 1)]
    return Metalink(name, int(size.text), hashes[0].text if hashes else None, [url.text or "" for url in urls])


def bdecode(data: bytes) -> Any:
    """What bencoded bytes say. Raises AssertionError for what BEP 3 does not allow."""
    value, rest = _value(data)
    assert rest == b"", "something follows"
    return value


def _value(data: bytes) -> tuple[Any, bytes]:
    kind = data[:1]
    if kind == b"i":
        number, end, rest = data[1:].partition(b"e")
        assert end and str(int(number)).encode() == number
        return int(number), rest
    if kind == b"l":
        return _list(data[1:])
    if kind == b"d":
        items, rest = _list(data[1:])
        keys = items[::2]
        assert len(items) % 2 == 0 and keys == sorted(set(keys)) and all(isinstance(key, bytes) for key in keys)
        return dict(zip(keys, items[1::2], strict=True)), rest
    length, colon, rest = data.partition(b":")
    assert colon and str(int(length)).encode() == length and len(rest) >= int(length)
    return rest[: int(length)], rest[int(length) :]


def _list(data: bytes) -> tuple[list[Any], bytes]:
    items = []
    while not data.startswith(b"e"):
        item, data = _value(data)
        items.append(item)
    return items, data[1:]


def sha1_pieces(content: bytes, length: int) -> bytes:
    """The hashes that a torrent of this content holds."""
    return b"".join(hashlib.sha1(content[at : at + length]).digest() for at in range(0, len(content), length))
