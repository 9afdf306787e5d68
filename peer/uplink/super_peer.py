"""What a peer says to its super-peer, one method a message. Errors are OutgoingError with the super-peer's own code."""

from common.http.outgoing import Outgoing
from common.wire.files import CatalogueAnswer, CatalogueDelta
from common.wire.peers import (
    Challenge,
    ChallengeRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    RegisterAnswer,
    RegisterRequest,
)
from peer.uplink.identity import Identity, registration_text

DELTA_DEADLINE = 120.0


class SuperPeer:
    """The super-peer at `address` (HOST:PORT)."""

    def __init__(self, address: str, identity: Identity) -> None:
        self._base = f"http://{address}/api/v1"
        self._identity = identity
        self._token = ""
        self._outgoing: Outgoing

    def through(self, outgoing: Outgoing) -> None:
        """Calls leave through `outgoing`, which can be made only once the loop runs."""
        self._outgoing = outgoing

    async def register(self, port: int, name: str, region: str, version: str, shared_files: int) -> RegisterAnswer:
        """Signs a fresh challenge and becomes a peer."""
        identity = self._identity
        challenge = await self._outgoing.post_json(
            f"{self._base}/peers/challenge", ChallengeRequest(identity.public_key), Challenge
        )
        text = registration_text(challenge.super_peer_id, challenge.nonce, identity.peer_id, "", port)
        request = RegisterRequest(
            port=port,
            id=identity.peer_id,
            name=name or None,
            region=region or None,
            shared_files=shared_files,
            version=version,
            hash_algorithm="sha256",
            public_key=identity.public_key,
            nonce=challenge.nonce,
            signature=identity.sign(text),
        )
        answer = await self._outgoing.post_json(f"{self._base}/peers/register", request, RegisterAnswer)
        self._token = answer.token
        return answer

    async def heartbeat(self, beat: HeartbeatRequest) -> HeartbeatAnswer:
        """Says that this peer is here."""
        url = f"{self._base}/peers/heartbeat"
        return await self._outgoing.post_json(url, beat, HeartbeatAnswer, headers=self._headers())

    async def announce(self, delta: CatalogueDelta) -> CatalogueAnswer:
        """Tells what changed in the catalogue."""
        url = f"{self._base}/files/register"
        return await self._outgoing.post_json(
            url, delta, CatalogueAnswer, headers=self._headers(), deadline=DELTA_DEADLINE
        )

    async def leave(self) -> None:
        """Says goodbye."""
        url = f"{self._base}/peers/unregister"
        async with self._outgoing.request("POST", url, headers=self._headers(), deadline=2.0):
            pass

    def _headers(self) -> dict[str, str]:
        return {"X-Peer-ID": self._identity.peer_id, "Authorization": f"Bearer {self._token}"}
