"""The command `peer`, but for the port that it registers: FRONT_PORT, where a front stands before it (`front.py`)."""

import os
import sys

import peer.app
from peer.__main__ import main


class Fronted(peer.app.Peer):
    """Others are sent to its front."""

    async def listening(self, address: str, port: int) -> None:
        await super().listening(address, port)  # which has not registered yet: its jobs have their turn later
        self._session.port = int(os.environ["FRONT_PORT"])


if __name__ == "__main__":
    peer.app.Peer = Fronted  # type: ignore[misc]
    sys.exit(main())
