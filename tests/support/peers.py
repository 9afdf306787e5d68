"""Peers that speak to a super-peer as the contract says, request by request."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from nacl.signing import SigningKey

from tests.support.superpeers import Site
from tests.support.wire import Answer


def content_id(text: str) -> str:
    """The id of the file whose bytes are `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def entry(path: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    """A catalogue entry; its content is its path unless told otherwise, so different paths are different files."""
    text = path if content is None else content
    return {"path": path, "id": content_id(text), "size": len(text.encode()), **more}


class Peer:
    """A keyless program that knows the whole protocol."""

    def __init__(self, site: Site, peer_id: str | None = None, port: int = 9001) -> None:
        self.site = site
        self.id = peer_id or ""
        self.port = port
        self.token: str | None = None
        self.sequence = 0
        self.catalogue = "c"
        self.version = 0

    @property
    def headers(self) -> dict[str, str]:
        given = {"X-Peer-ID": self.id}
        return given if self.token is None else given | {"Authorization": f"Bearer {self.token}"}

    async def registration(self) -> dict[str, Any]:
        """The body of a registration."""
        return {"port": self.port, **({"id": self.id} if self.id else {})}

    async def try_register(self, **changes: Any) -> Answer:
        """Registers with some keys changed (None leaves a key out)."""
        body = await self.registration() | changes
        body = {key: value for key, value in body.items() if value is not None}
        return await self.site.call("POST", "/api/v1/peers/register", body)

    async def register(self, **changes: Any) -> dict[str, Any]:
        """Registers, and remembers what it was given."""
        answer = await self.try_register(**changes)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.json()
        self.id, self.token, self.sequence = told["peer_id"], told["token"], 0
        return told

    async def try_beat(self, **body: Any) -> Answer:
        """A heartbeat with the next sequence, or with whatever `body` says."""
        self.sequence += 1
        given = {"sequence": self.sequence, "catalogue_id": self.catalogue, "catalogue_version": self.version}
        return await self.site.call("POST", "/api/v1/peers/heartbeat", given | body, self.headers)

    async def beat(self, **body: Any) -> dict[str, Any]:
        answer = await self.try_beat(**body)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.json()
        return told

    async def try_announce(
        self, add: Iterable[dict[str, Any]] = (), remove: Sequence[str] = (), base: int | None = None, **more: Any
    ) -> Answer:
        """Sends a delta that continues what was accepted last, unless `base` says otherwise."""
        delta = {
            "catalogue_id": self.catalogue,
            "base_version": self.version if base is None else base,
            "add": list(add),
            "remove": list(remove),
            **more,
        }
        return await self.site.call("POST", "/api/v1/files/register", delta, self.headers)

    async def announce(self, *add: dict[str, Any], remove: Sequence[str] = (), **more: Any) -> None:
        """A delta that is accepted."""
        answer = await self.try_announce(add, remove, **more)
        assert answer.status == 200, answer
        told = answer.json()
        assert told["status"] == "success"
        self.version = told["catalogue_version"]

    async def share(self, *paths: str, **more: Any) -> None:
        """Announces a file of its own for each path."""
        await self.announce(*(entry(path, **more) for path in paths))

    async def leave(self) -> None:
        answer = await self.site.call("POST", "/api/v1/peers/unregister", headers=self.headers)
        assert answer.status == 204, answer


class KeyedPeer(Peer):
    """A peer with an Ed25519 key made of `seed`."""

    def __init__(self, site: Site, seed: str = "peer", port: int = 9001) -> None:
        self.key = SigningKey(hashlib.sha256(seed.encode()).digest())
        self.public_key = base64.b64encode(bytes(self.key.verify_key)).decode()
        digest = hashlib.sha256(bytes(self.key.verify_key)).digest()
        super().__init__(site, base64.b32encode(digest).decode().rstrip("=").lower(), port)

    async def challenge(self) -> dict[str, str]:
        answer = await self.site.call("POST", "/api/v1/peers/challenge", {"public_key": self.public_key})
        assert answer.status == 200, answer
        told: dict[str, str] = answer.json()
        return told

    def sign(self, challenge: dict[str, str], address: str = "", port: int | None = None) -> dict[str, Any]:
        """The keys of a registration that prove this peer."""
        lines = ("p2p-register/1", challenge["super_peer_id"], challenge["nonce"], self.id, address)
        text = "\n".join((*lines, str(port or self.port)))
        signature = base64.b64encode(self.key.sign(text.encode()).signature).decode()
        return {"public_key": self.public_key, "nonce": challenge["nonce"], "signature": signature}

    async def registration(self) -> dict[str, Any]:
        return await super().registration() | self.sign(await self.challenge())

    async def register_at(self, address: str) -> Answer:
        """Registers under an address that it names, and signs."""
        return await self.try_register(address=address, **self.sign(await self.challenge(), address))
