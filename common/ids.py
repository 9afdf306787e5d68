"""Typed ids and the shapes they must have.

A file's id is the lower-case hex digest of its bytes. The id of a peer with a key is derived from that key, so
nobody can claim another's; keyless programs may choose any other short word, never one of that form.
"""

import base64
import hashlib
import re
from typing import NewType

FileId = NewType("FileId", str)
PeerId = NewType("PeerId", str)

EMPTY_FILE_ID = FileId(hashlib.sha256(b"").hexdigest())
"""Where files are named by their SHA-256; `Algorithm.empty_id` knows it for any network."""

_FILE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEYED_PEER_ID = re.compile(r"[a-z2-7]{52}", re.ASCII)
_CHOSEN_PEER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def is_file_id(text: str) -> bool:
    """True for 64 lower-case hex digits."""
    return _FILE_ID.fullmatch(text) is not None


def keyed_peer_id(public_key: bytes) -> PeerId:
    """base32(SHA-256(public key)) in lower case without padding: 52 characters."""
    return PeerId(base64.b32encode(hashlib.sha256(public_key).digest()).decode().rstrip("=").lower())


def is_keyed_form(text: str) -> bool:
    """True when `text` looks like the id of a peer with a key."""
    return _KEYED_PEER_ID.fullmatch(text) is not None


def is_chosen_peer_id(text: str) -> bool:
    """True for an id that a keyless program may choose for itself."""
    return _CHOSEN_PEER_ID.fullmatch(text) is not None and not is_keyed_form(text)
