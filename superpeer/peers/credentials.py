"""What proves a peer: a challenge signed with its Ed25519 key (RFC 8032), afterwards a token.

Tokens are kept as SHA-256 only. A challenge is good once, for 60 s, for the key that asked; the oldest go when too
many are open.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Protocol

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from common import errors

CHALLENGE_LIFE = 60.0
MAX_CHALLENGES = 20_000
# Points of small order: a signature under them proves nothing (RFC 7748, section 7; libsodium's list).
SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


def new_token() -> str:
    """256 random bits for a header."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(_bytes(token)).digest()


def _bytes(token: str) -> bytes:
    """A header's text as the bytes that came, whether or not they were UTF-8."""
    return token.encode("utf-8", "surrogateescape")


class Bearer(Protocol):
    """Whoever was given a token."""

    token_digest: bytes
    proven_token: str | None


def proves(bearer: Bearer, token: str) -> bool:
    """Whether this is the bearer's token, in constant time.

    One that was right is remembered, since heartbeats repeat it.
    """
    known = bearer.proven_token
    if known is not None and hmac.compare_digest(_bytes(known), _bytes(token)):
        return True
    if not hmac.compare_digest(digest(token), bearer.token_digest):
        return False
    bearer.proven_token = token
    return True


def public_key(text: str) -> bytes:
    """The 32 bytes of a base64 public key. Raises Invalid."""
    try:
        key = base64.b64decode(text, altchars=b"-_" if set(text) & set("-_") else None, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    masked = key[:31] + bytes([key[31] & 0x7F]) if len(key) == 32 else b""
    if len(key) != 32 or masked in SMALL_ORDER:
        raise errors.Invalid("invalid_body", "public_key must be a 32-byte Ed25519 key in base64.")
    return key


def signed_text(super_peer_id: str, nonce: str, peer_id: str, address: str, port: int) -> bytes:
    """What a registration signs."""
    return f"p2p-register/1\n{super_peer_id}\n{nonce}\n{peer_id}\n{address}\n{port}".encode()


def check_signature(key: bytes, signature: str, text: bytes) -> None:
    """Raises Unauthenticated unless `signature` (base64) is `key`'s over `text`."""
    try:
        VerifyKey(key).verify(text, base64.b64decode(signature, validate=True))
    except (BadSignatureError, binascii.Error, ValueError):
        raise errors.Unauthenticated(
            "signature_invalid", "The signature is not this key's over this registration."
        ) from None


class Challenges:
    """Open challenges by nonce."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def open(self, key: bytes, monotonic: float) -> str:
        """A new nonce for `key`."""
        while self._open and (len(self._open) >= MAX_CHALLENGES or self._oldest() < monotonic - CHALLENGE_LIFE):
            self._open.popitem(last=False)
        nonce = base64.b64encode(secrets.token_bytes(32)).decode()
        self._open[nonce] = (key, monotonic)
        return nonce

    def _oldest(self) -> float:
        return next(iter(self._open.values()))[1]

    def spend(self, nonce: str, key: bytes, monotonic: float) -> None:
        """Uses a nonce up. Raises Unauthenticated when it is not open for this key."""
        opened = self._open.pop(nonce, None)
        if opened is None or opened[0] != key or opened[1] < monotonic - CHALLENGE_LIFE:
            raise errors.Unauthenticated("challenge_expired", "Ask for a new challenge and sign that.")
