"""The command `peer`, but for the port that it registers: one where nobody listens, so that no other can dial it."""

import socket
import sys

import peer.app
from peer.__main__ import main

_taken = socket.socket()  # bound and not listening: nobody else gets the port, and nobody answers there
_taken.bind(("127.0.0.1", 0))


class Undialled(peer.app.Peer):
    """Known to the super-peer, reached by nobody."""

    async def listening(self, address: str, port: int) -> None:
        await super().listening(address, port)  # which has not registered yet: its jobs have their turn later
        self._session.port = _taken.getsockname()[1]


if __name__ == "__main__":
    peer.app.Peer = Undialled  # type: ignore[misc]
    sys.exit(main())
