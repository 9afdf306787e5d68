"""Who is fetching what and offers the pieces that it has proven. Soft state: nothing of it is ever written down.

Pure: time is an argument (monotonic seconds). Invariants: a swarm has at most MOST_MEMBERS, a peer is in at most
MOST_SWARMS; a member that has not come back for three of the intervals that it was told is none any more; who leaves,
or goes offline, is gone from what is told at once.
"""

from dataclasses import dataclass, field

QUICK, SLOW = 2.0, 30.0  # seconds between two calls of a member
CALLS = 100.0  # a second, of all members of one swarm
MISSED_INTERVALS = 3
MOST_MEMBERS = 1000
MOST_SWARMS = 64


@dataclass(slots=True)
class Member:
    """A peer that fetches the file under this manifest and has `proven` pieces of it."""

    manifest: str
    proven: int
    until: float


@dataclass(slots=True)
class _Swarm:
    changed: float  # when somebody came or went
    members: dict[int, Member] = field(default_factory=dict)


def interval(quiet: float, members: int) -> float:
    """Seconds until a member is to come back: soon after somebody came or went, seldom after a long quiet.

    A large swarm comes back less often, so that no file costs more than CALLS a second.
    """
    return min(SLOW, max(QUICK, quiet / 4, members / CALLS))


class Swarms:
    """All swarms, by file id; peers by their number."""

    def __init__(self) -> None:
        self._swarms: dict[str, _Swarm] = {}
        self._of_peer: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return len(self._swarms)

    @property
    def members(self) -> int:
        """How many there are in all."""
        return sum(len(swarm.members) for swarm in self._swarms.values())

    def join(self, file_id: str, peer_n: int, manifest: str, proven: int, now: float) -> float:
        """The peer is a member, or still is; returns its interval. Where there is no room it is told to come back."""
        swarm = self._swarms.get(file_id)
        member = swarm.members.get(peer_n) if swarm else None
        if swarm is None or member is None:
            if not self._has_room(swarm, peer_n):
                return SLOW
            swarm = self._swarms.setdefault(file_id, _Swarm(now))
            member = swarm.members[peer_n] = Member(manifest, proven, now)
            swarm.changed = now
            self._of_peer.setdefault(peer_n, set()).add(file_id)
        wait = interval(now - swarm.changed, len(swarm.members))
        member.manifest, member.proven, member.until = manifest, proven, now + MISSED_INTERVALS * wait
        return wait

    def _has_room(self, swarm: _Swarm | None, peer_n: int) -> bool:
        is_full = swarm is not None and len(swarm.members) >= MOST_MEMBERS
        return not is_full and len(self._of_peer.get(peer_n, ())) < MOST_SWARMS

    def leave(self, file_id: str, peer_n: int, now: float) -> None:
        """The peer is no member any more."""
        swarm = self._swarms.get(file_id)
        if swarm is None or swarm.members.pop(peer_n, None) is None:
            return
        swarm.changed = now
        if not swarm.members:
            del self._swarms[file_id]
        theirs = self._of_peer[peer_n]
        theirs.discard(file_id)
        if not theirs:
            del self._of_peer[peer_n]

    def leave_all(self, peer_n: int, now: float) -> None:
        """The peer went offline."""
        for file_id in list(self._of_peer.get(peer_n, ())):
            self.leave(file_id, peer_n, now)

    def expire(self, now: float) -> None:
        """Whoever has stayed away goes."""
        late = [(file_id, n) for file_id, swarm in self._swarms.items() for n in _late(swarm, now)]
        for file_id, n in late:
            self.leave(file_id, n, now)

    def of(self, file_id: str, now: float) -> dict[int, Member]:
        """The members now, by the peer's number."""
        swarm = self._swarms.get(file_id)
        return {n: member for n, member in swarm.members.items() if member.until >= now} if swarm else {}


def _late(swarm: _Swarm, now: float) -> list[int]:
    return [n for n, member in swarm.members.items() if member.until < now]
