"""What a peer says to its super-peer, one method a message. Errors are OutgoingError with the super-peer's own code."""

import msgspec
from yarl import URL

from common.http.dialling import endpoint
from common.http.outgoing import Outgoing
from common.wire.files import CatalogueAnswer, CatalogueDelta, FileInfo, Source
from common.wire.peers import (
    Challenge,
    ChallengeRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    RegisterAnswer,
    RegisterRequest,
)
from common.wire.transfer import SwarmAnswer, SwarmRequest, TransferReport
from peer.uplink.identity import Identity, registration_text

DELTA_DEADLINE = 120.0


class SuperPeer:
    """The super-peer at `address` (HOST:PORT). `hash_algorithm` names this peer's files."""

    def __init__(self, address: str, identity: Identity, hash_algorithm: str) -> None:
        self._hash_algorithm = hash_algorithm
        self.endpoint = endpoint(address)
        self.origin = f"http://{address}"
        self._base = f"{self.origin}/api/v1"
        self._identity = identity
        self._token = ""
        self._outgoing: Outgoing

    @property
    def peer_id(self) -> str:
        return self._identity.peer_id

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
            hash_algorithm=self._hash_algorithm,
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
        return await self._outgoing.post_json(url, beat, HeartbeatAnswer, headers=self.proof())

    async def announce(self, delta: CatalogueDelta) -> CatalogueAnswer:
        """Tells what changed in the catalogue."""
        url = f"{self._base}/files/register"
        return await self._outgoing.post_json(
            url, delta, CatalogueAnswer, headers=self.proof(), deadline=DELTA_DEADLINE
        )

    async def leave(self) -> None:
        """Says goodbye."""
        url = f"{self._base}/peers/unregister"
        async with self._outgoing.request("POST", url, headers=self.proof(), deadline=2.0):
            pass

    async def file(self, file_id: str) -> FileInfo:
        """One file of the network."""
        return await self._outgoing.get_json(f"{self._base}/files/{file_id}", FileInfo)

    async def sources(self, file_id: str, region: str) -> list[Source]:
        """Who is online and has it, best first."""
        url = str(URL(f"{self._base}/files/{file_id}/sources").with_query({"region": region} if region else {}))
        return await self._outgoing.get_json(url, list[Source])

    async def swarm(self, file_id: str, request: SwarmRequest) -> SwarmAnswer:
        """Says that this peer fetches a file and offers pieces of it; who else does."""
        url = f"{self._base}/files/{file_id}/swarm"
        return await self._outgoing.post_json(url, request, SwarmAnswer, headers=self.proof())

    async def report(self, report: TransferReport) -> None:
        """Tells what a source did in a transfer."""
        headers = self.proof() | {"Content-Type": "application/json"}
        url, body = f"{self._base}/transfers/report", msgspec.json.encode(report)
        async with self._outgoing.request("POST", url, headers=headers, body=body, deadline=10.0):
            pass

    def proof(self) -> dict[str, str]:
        """The headers that prove this peer."""
        return {"X-Peer-ID": self._identity.peer_id, "Authorization": f"Bearer {self._token}"}
