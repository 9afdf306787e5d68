"""The peer's Ed25519 key: made at the first start, kept in one file that only its owner can read.

The file holds the 32-byte seed; it appears whole or not at all, and an existing one is never overwritten.
"""

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from common.ids import PeerId, keyed_peer_id

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
        seed = path.read_bytes() if path.exists() else _make(path, bytes(SigningKey.generate()))
    except OSError as error:
        raise IdentityUnusable(f"{path} cannot be read or written: {error.strerror}") from error
    if len(seed) != SEED:
        raise IdentityUnusable(
            f"{path} is damaged: it has {len(seed)} bytes, not {SEED}; restore it, or move it away for a new id"
        )
    return Identity(SigningKey(seed))


def _make(path: Path, seed: bytes) -> bytes:
    """Writes beside the final name, to the disk, and only then gives the name."""
    half = path.with_suffix(".new")
    half.unlink(missing_ok=True)
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, seed)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.link(half, path)
    half.unlink()
    _sync_folder(path.parent)
    return seed


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
