"""The peer's Ed25519 key: made at the first start, kept in one file that only its owner can read.

The file holds the 32-byte seed; it appears whole or not at all, and an existing one is never overwritten.
"""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from common.ids import PeerId, keyed_peer_id
from common.runtime.secret_file import SecretUnusable, make_secret, read_secret

if TYPE_CHECKING:
    from nacl.signing import SigningKey

KEY_FILE = "identity.key"
SEED = 32  # bytes


class IdentityUnusable(Exception):
    """The key file is there and cannot be used."""


class Identity:
    """A key and the id that follows from it."""

    def __init__(self, key: "SigningKey") -> None:
        self._key = key
        public = bytes(key.verify_key)
        self.peer_id: PeerId = keyed_peer_id(public)
        self.public_key = base64.b64encode(public).decode()

    def sign(self, text: bytes) -> str:
        """The signature over `text`, in base64."""
        return base64.b64encode(self._key.sign(text).signature).decode()


def registration_text(super_peer_id: str, nonce: str, peer_id: str, address: str, port: int) -> bytes:
    """What a registration signs; see the protocol's documents, Identity."""
    return f"p2p-register/1\n{super_peer_id}\n{nonce}\n{peer_id}\n{address}\n{port}".encode()


def load_identity(folder: Path) -> Identity:
    """The identity kept in `folder`, made now if there is none. Raises IdentityUnusable."""
    from nacl.signing import SigningKey

    path = folder / KEY_FILE
    try:
        seed = read_secret(path)
        if seed is None:
            seed = bytes(SigningKey.generate())
            make_secret(path, seed)
    except SecretUnusable as error:
        raise IdentityUnusable(str(error)) from error
    if len(seed) != SEED:
        raise IdentityUnusable(
            f"{path} is damaged: it has {len(seed)} bytes, not {SEED}; restore it, or move it away for a new id"
        )
    return Identity(SigningKey(seed))
