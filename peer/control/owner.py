"""The owner's token: whoever can read the owner's files may drive the peer, nobody else.

The token lies in `DATA/owner-token` (mode 0600), made at the first start; requests bring it as a bearer token.
"""

import hmac
import os
import secrets
from pathlib import Path

from aiohttp import web

from common import errors
from common.http.bearer import bearer_token

TOKEN_FILE = "owner-token"


class TokenUnusable(Exception):
    """The token's file is there and cannot be used."""


def load_owner_token(folder: Path) -> str:
    """The owner's token, made now if there is none. Raises TokenUnusable."""
    path = folder / TOKEN_FILE
    try:
        token = path.read_text("ascii").strip() if path.exists() else ""
        if not token:
            token = secrets.token_urlsafe(32)
            _write(path, token)
        os.chmod(path, 0o600)
    except (OSError, UnicodeError) as error:
        raise TokenUnusable(f"{path} cannot be used: {error}") from error
    if len(token) < 20:
        raise TokenUnusable(f"{path} is damaged: remove it, a new one is made at the next start")
    return token


def _write(path: Path, token: str) -> None:
    half = path.with_suffix(".new")
    half.unlink(missing_ok=True)
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(fd)
    os.replace(half, path)


class Owner:
    """Knows the owner by the token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def is_token(self, text: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(text.encode(), self._token)

    def require(self, request: web.Request) -> None:
        """Raises Unauthenticated for anybody else."""
        token = bearer_token(request)
        if token is None:
            raise errors.Unauthenticated(
                "token_required", "This is for the peer's owner: send the token of DATA/owner-token as a bearer token."
            )
        if not self.is_token(token):
            raise errors.Unauthenticated("token_invalid", "This is not the owner's token of this peer.")
