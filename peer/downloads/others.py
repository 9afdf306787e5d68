"""What a transfer tells of itself to others that fetch the same file."""

from typing import TYPE_CHECKING

from common.content.manifest import Manifest

if TYPE_CHECKING:
    from peer.downloads.transfer import Transfer


class Crowd:
    """What a transfer tells of itself to others who fetch the same file. This one keeps it to itself."""

    async def begin(self, transfer: "Transfer", manifest: Manifest) -> None:
        """The pieces in `transfer.course.plan.proven` may be offered under this manifest."""

    def proven(self, piece: int) -> None:
        """One piece more."""

    async def end(self) -> None:
        """It is over, whatever came of it."""
