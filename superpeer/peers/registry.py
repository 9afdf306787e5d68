"""Registration, heartbeat, leave: the rules of who may be which peer.

Guarantees: an id derived from a key is only ever given to that key; a keyless program never acts for a keyed peer; the
address that others are sent to is the one a peer was seen at, or one that policy allows; sent twice, a registration
leaves one peer.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common import errors
from common.http.addresses import Network, Profile, canonical, is_forbidden
from common.ids import is_chosen_peer_id, keyed_peer_id
from common.runtime.clock import Clock
from common.wire.peers import Challenge, HeartbeatAnswer, HeartbeatRequest, Load, RegisterAnswer, RegisterRequest
from superpeer.database.connections import to_the_end
from superpeer.peers import credentials
from superpeer.peers.presence import Presence, Seat
from superpeer.peers.store import PeerStore

OnChange = Callable[[str, Seat], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Admission:
    """What this network asks of its peers."""

    hash_algorithm: str
    require_identity: bool
    max_peers: int
    max_peers_per_address: int
    profile: Profile
    advertise_allow: Sequence[Network]
    first_heartbeat: float | None = None


class Registry:
    """Lets peers in, hears them, lets them go.

    `on_change` is told `peer_registered`, `peer_updated`, `peer_online`, `peer_offline` or `peer_forgotten`.
    """

    def __init__(
        self, admission: Admission, presence: Presence, store: PeerStore, clock: Clock, on_change: OnChange
    ) -> None:
        self._admission = admission
        self._presence = presence
        self._store = store
        self._clock = clock
        self._on_change = on_change
        self._challenges = credentials.Challenges()
        self._one_at_a_time = asyncio.Lock()  # who is let in, and who is forgotten
        self._super_peer_id = ""

    async def open(self) -> None:
        """Takes up what the database remembers."""
        self._super_peer_id = await self._store.super_peer_id()
        for seat in await self._store.load(self._clock.monotonic()):
            self._presence.seat(seat)

    def challenge(self, public_key: str) -> Challenge:
        """A nonce for this key to sign."""
        key = credentials.public_key(public_key)
        return Challenge(self._challenges.open(key, self._clock.monotonic()), self._super_peer_id)

    async def register(self, request: RegisterRequest, observed: str, token: str | None) -> RegisterAnswer:
        """Makes the sender a peer, or the peer that it already is."""
        self._check_algorithm(request)
        key = self._proven_key(request)
        address, note = self._address(request, observed, keyed=key is not None)
        fresh_token = credentials.new_token()
        where = {"address": address, "port": request.port, "registered_from": observed}
        proof = {"public_key": key, "token_digest": credentials.digest(fresh_token)}
        seat = await to_the_end(self._admit(request, observed, token, where | proof))
        return RegisterAnswer(
            peer_id=seat.id,
            message="Peer registered successfully" + note,
            token=fresh_token,
            heartbeat_interval=self._presence.interval,
            catalogue_id=seat.catalogue_id,
            catalogue_version=seat.catalogue_version,
            hash_algorithm=self._admission.hash_algorithm,
            address=address,
            first_heartbeat=self._admission.first_heartbeat,
        )

    async def _admit(self, request: RegisterRequest, observed: str, token: str | None, values: dict[str, Any]) -> Seat:
        async with self._one_at_a_time:
            key = values["public_key"]
            peer_id, before = self._keyed(key) if key else self._keyless(request, observed, token)
            if before is None:
                self._check_room(observed)
            values = self._told(request, peer_id, before) | values
            seat = await self._store.save(values, self._clock.monotonic())
            self._presence.seat(seat)
        await self._on_change("peer_updated" if before is not None and before.online else "peer_registered", seat)
        return seat

    def _check_room(self, observed: str) -> None:
        if len(self._presence) >= self._admission.max_peers:
            raise errors.Unavailable("network_full", "This network takes no more peers now.", retry_after=300)
        most = self._admission.max_peers_per_address
        if self._presence.count_at(observed) >= most:
            raise errors.TooMany(
                "too_many_peers",
                f"{most} peers come from your address, as many as super_peer.max_peers_per_address lets in.",
                retry_after=300,
            )

    def _check_algorithm(self, request: RegisterRequest) -> None:
        ours = self._admission.hash_algorithm
        theirs = request.hash_algorithm or ours
        if theirs != ours:
            raise errors.Conflict(
                "hash_algorithm_differs",
                f"This network names files by {ours}, and this peer by {theirs}: "
                f"set security.hash_algorithm to {ours} where the peer runs, and start it again.",
            )

    def _proven_key(self, request: RegisterRequest) -> bytes | None:
        if request.public_key is None:
            if self._admission.require_identity:
                raise errors.Forbidden("identity_required", "This network takes only peers with a key.")
            return None
        key = credentials.public_key(request.public_key)
        peer_id = keyed_peer_id(key)
        if request.id not in (None, peer_id):
            raise errors.Unauthenticated("signature_invalid", "The id is not the one of this key.")
        nonce = request.nonce or ""
        text = credentials.signed_text(self._super_peer_id, nonce, peer_id, request.address or "", request.port)
        credentials.check_signature(key, request.signature or "", text)
        self._challenges.spend(nonce, key, self._clock.monotonic())
        return key

    def _keyed(self, key: bytes) -> tuple[str, Seat | None]:
        peer_id = keyed_peer_id(key)
        return peer_id, self._presence.find(peer_id)

    def _keyless(self, request: RegisterRequest, observed: str, token: str | None) -> tuple[str, Seat | None]:
        wanted = request.id if request.id and is_chosen_peer_id(request.id) else None
        seat = self._presence.find(wanted) if wanted else self._presence.at(observed, request.port)
        if seat is None:
            return wanted or secrets.token_hex(8), None
        proven = token is not None and credentials.proves(seat, token)
        if seat.keyed or not (proven or seat.registered_from == observed):
            raise errors.Forbidden("id_taken", "This id belongs to another peer; choose another, or leave it out.")
        return seat.id, seat

    def _address(self, request: RegisterRequest, observed: str, *, keyed: bool) -> tuple[str, str]:
        """The address to publish, and what to say when it is not the one that was asked for."""
        wanted = request.address
        if not wanted or wanted == observed:
            return observed, ""
        try:
            address = canonical(wanted)
        except ValueError:
            address = None
        allowed = self._admission.advertise_allow
        named = address is not None and any(address in network for network in allowed)
        if address is not None and named and not is_forbidden(address, self._admission.profile, allowed):
            return str(address), ""
        if keyed:
            raise errors.Unacceptable(
                "address_not_allowed",
                f"{wanted} is not the address you were seen at ({observed}) "
                "and super_peer.advertise_allow does not name it.",
            )
        return observed, f"; your address is {observed}"

    def _told(self, request: RegisterRequest, peer_id: str, before: Seat | None) -> dict[str, Any]:
        return {
            "id": peer_id,
            "name": request.name or (before.name if before else peer_id[:12]),
            "region": request.region or "",
            "version": request.version or "",
            "sequence": -1,  # so that the first may be 0
            "online": True,
            "last_seen": self._clock.now(),
        }

    def recognise(self, peer_id: str | None, token: str | None, observed: str) -> Seat:
        """The peer that a request comes from. Raises NotFound, Unauthenticated or Forbidden."""
        if not peer_id:
            raise errors.Invalid("invalid_parameter", "Peer ID required: send the header X-Peer-ID.")
        seat = self._presence.find(peer_id)
        if seat is None:
            raise errors.NotFound("peer_not_found", "This peer is not registered here (any more): register again.")
        if token is not None:
            if not credentials.proves(seat, token):
                raise errors.Unauthenticated("token_invalid", "This token is not the peer's; register again.")
        elif seat.keyed or seat.registered_from != observed:
            raise errors.Unauthenticated("token_required", "Send the token of your registration as a bearer token.")
        return seat

    async def heartbeat(self, seat: Seat, beat: HeartbeatRequest | None) -> HeartbeatAnswer:
        """Notes a sign of life. Writes nothing unless the peer had been taken for gone."""
        sequence = beat.sequence if beat else None
        if sequence is not None and sequence <= seat.sequence:
            raise errors.Conflict("replay", f"The sequence must be above {seat.sequence}.", sequence=seat.sequence)
        if sequence is None and seat.keyed:
            raise errors.Invalid("invalid_body", "A peer with a key sends a rising sequence.")
        if sequence is not None:
            seat.sequence = sequence
        if beat is not None:
            seat.load = beat.load or Load()
        self._presence.hear(seat, self._clock.now(), self._clock.monotonic())
        if not seat.online:
            await self.set_online([seat], online=True)
        return HeartbeatAnswer(
            seat.catalogue_id, seat.catalogue_version, self._presence.interval, seat.direct is not False
        )

    async def leave(self, seat: Seat) -> None:
        """The peer says goodbye: offline at once, forgotten after the usual grace."""
        self._presence.hear(seat, self._clock.now(), self._clock.monotonic())
        if seat.online:
            await self.set_online([seat], online=False)

    async def set_online(self, seats: Sequence[Seat], *, online: bool) -> None:
        """Marks peers as present or gone, in memory and in the index."""
        for seat in seats:
            seat.online = online
        try:
            await self._store.set_online([seat.n for seat in seats], online)
        except BaseException:
            for seat in seats:
                seat.online = not online  # so that the next turn tries again
            raise
        for seat in seats:
            await self._on_change("peer_online" if online else "peer_offline", seat)

    async def expire(self) -> None:
        """Who has been silent too long is offline."""
        silent = self._presence.silent(self._clock.monotonic())
        if silent:
            await self.set_online(silent, online=False)

    async def forget(self, grace: float) -> None:
        """Who has been away longer than `grace` seconds goes with all that it announced."""
        async with self._one_at_a_time:
            for seat in self._presence.long_gone(self._clock.now(), grace):
                # First in memory: who comes back meanwhile is told to register, and waits for its turn.
                self._presence.forget(seat)
                try:
                    await self._store.delete(seat.n)
                except BaseException:
                    self._presence.seat(seat)
                    raise
                await self._on_change("peer_forgotten", seat)

    async def write_behind(self) -> None:
        """Writes what heartbeats left in memory."""
        taken = self._presence.take_written_behind()
        try:
            await self._store.write_behind(taken)
        except BaseException:
            self._presence.give_back(taken)
            raise
