"""How a transfer is to go about it."""

from dataclasses import dataclass, field

from common.content.hashing import SHA256, Algorithm
from common.serving.bandwidth import Bandwidth
from peer.downloads.standing import Patience


@dataclass(frozen=True, slots=True)
class Terms:
    """`headers` go with every request to a source."""

    patience: Patience = field(default_factory=Patience)
    sequential: bool = False
    bandwidth: Bandwidth | None = None
    algorithm: Algorithm = SHA256
    headers: dict[str, str] = field(default_factory=dict)
