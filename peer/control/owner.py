"""The owner's token: whoever can read the owner's files may drive the peer, nobody else.

The token lies in `DATA/owner-token` (mode 0600), made at the first start; requests bring it as a bearer token.
"""

import hmac
import secrets
from pathlib import Path

from aiohttp import web

from common import errors
from common.http.bearer import bearer_token
from common.http.endpoint import Access, Endpoint
from common.runtime.clock import Clock
from common.runtime.obstacles import obstacle
from common.runtime.secret_file import SecretUnusable, make_secret, read_secret
from common.wire.peer_daemon import OwnerCode, OwnerToken

TOKEN_FILE = "owner-token"
CODE_LIFE = 600.0  # seconds
MAX_CODES = 16


class TokenUnusable(Exception):
    """The token's file is there and cannot be used."""


def load_owner_token(folder: Path) -> str:
    """The owner's token, made now if there is none. Raises TokenUnusable."""
    path = folder / TOKEN_FILE
    try:
        kept = read_secret(path)
        if kept is not None and not kept.strip():
            path.unlink()  # an empty one is no token, and a new one takes no other's place
        token = kept.decode("ascii").strip() if kept else ""
        if not token:
            token = secrets.token_urlsafe(32)
            make_secret(path, f"{token}\n".encode())
    except SecretUnusable as error:
        raise TokenUnusable(str(error)) from error
    except OSError as error:
        raise TokenUnusable(obstacle(error, str(path), "move it away")) from error
    except UnicodeError:
        token = ""
    if len(token) < 20:
        raise TokenUnusable(f"{path} is damaged: remove it, a new one is made at the next start")
    return token


class Owner:
    """Knows the owner by the token.

    A browser gets the token for a code that works once, so that no address carries it.
    """

    def __init__(self, token: str, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._codes: dict[str, float] = {}

    def is_token(self, text: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(text.encode(), self._token.encode())

    def require(self, request: web.Request) -> None:
        """Raises Unauthenticated for anybody else."""
        token = bearer_token(request)
        if token is None:
            raise errors.Unauthenticated(
                "token_required", "This is for the peer's owner: send the token of DATA/owner-token as a bearer token."
            )
        if not self.is_token(token):
            raise errors.Unauthenticated("token_invalid", "This is not the owner's token of this peer.")

    def new_code(self) -> str:
        """A code that opens the owner's part of the page once, within ten minutes."""
        now = self._clock.monotonic()
        self._codes = {code: since for code, since in self._codes.items() if now - since < CODE_LIFE}
        while len(self._codes) >= MAX_CODES:
            self._codes.pop(next(iter(self._codes)))
        code = secrets.token_urlsafe(16)
        self._codes[code] = now
        return code

    def spend(self, code: str) -> str:
        """The token for a code. Raises Unauthenticated when it is used up, too old or none."""
        since = self._codes.pop(code, None)
        if since is None or self._clock.monotonic() - since >= CODE_LIFE:
            raise errors.Unauthenticated(
                "token_invalid",
                "This link was used already, or is older than ten minutes: `peer open` prints a new one.",
            )
        return self._token


class OwnerRoutes:
    """How the owner's browser comes to the token."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    async def code(self, request: web.Request) -> OwnerCode:
        return OwnerCode(self._owner.new_code())

    async def token(self, request: web.Request, body: OwnerCode) -> OwnerToken:
        return OwnerToken(self._owner.spend(body.code))

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST",
                path="/api/v1/owner/code",
                handle=self.code,
                summary="A code for a link that opens the owner's page once",
                tag="owner",
                answer=OwnerCode,
                access=Access.OWNER,
                codes=("token_invalid", "token_required"),
            ),
            Endpoint(
                method="POST",
                path="/api/v1/owner/token",
                handle=self.token,
                summary="The owner's token for such a code",
                tag="owner",
                body=OwnerCode,
                answer=OwnerToken,
                codes=("invalid_body", "token_invalid"),
            ),
        ]
