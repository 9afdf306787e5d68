"""A file's sources in words that other download programs know: Metalink 4 (RFC 5854) and BitTorrent metainfo (BEP 3,
with web seeds as of BEP 19). Pure.

A name comes out fit for any disk; whatever it holds, the document stays what it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from common.content.names import safe_name
from common.content.torrent_pieces import HASH, piece_count, piece_length

METALINK = "application/metalink4+xml"
TORRENT = "application/x-bittorrent"
MOST_URLS = 100
GENERATOR = "Shoal"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Export:
    """A file and where it is had, the best first. `sha256` is None where files are named by another hash."""

    name: str
    size: int
    sha256: str | None
    urls: Sequence[str]


def metalink(export: Export) -> bytes:
    """The Metalink document."""
    name = quoteattr(safe_name(export.name.rpartition("/")[2]))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink">',
        f"  <generator>{GENERATOR}</generator>",
        f"  <file name={name}>",
        f"    <size>{export.size}</size>",
        *([f'    <hash type="sha-256">{export.sha256}</hash>'] if export.sha256 else []),
        *(f'    <url priority="{n}">{escape(_xml(url))}</url>' for n, url in enumerate(export.urls[:MOST_URLS], 1)),
        "  </file>",
        "</metalink>",
        "",
    ]
    return "\n".join(lines).encode()


def _xml(text: str) -> str:
    """Text without what no XML document may hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def torrent(export: Export, pieces: bytes) -> bytes:
    """The metainfo document; `pieces` are the SHA-1 hashes in order. Raises ValueError unless they fit the size.

    It is marked as private, so that programs do not tell strangers on the internet about a file of this network.
    """
    if len(pieces) != HASH * piece_count(export.size):
        raise ValueError(f"a file of {export.size} bytes has {piece_count(export.size)} torrent pieces")
    info = {
        "length": export.size,
        "name": safe_name(export.name.rpartition("/")[2]),
        "piece length": piece_length(export.size),
        "pieces": pieces,
        "private": 1,
    }
    return bencode({"created by": GENERATOR, "info": info, "url-list": list(export.urls[:MOST_URLS])})


def bencode(value: object) -> bytes:
    """Whole numbers, strings, lists and dictionaries in the one way that BEP 3 writes them. Raises TypeError."""
    match value:
        case bool():
            raise TypeError("there is no true or false in bencoding")
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
        case str():
            return bencode(value.encode())
        case list():
            return b"l" + b"".join(bencode(item) for item in value) + b"e"
        case dict():
            pairs = sorted((key.encode(), item) for key, item in value.items())
            return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"
    raise TypeError(f"{type(value).__name__} cannot be bencoded")
