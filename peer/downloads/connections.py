"""Connections to sources that may be used again. For threads."""

import socket
import threading
import time
from collections import deque

from common.http.dialling import Policy, dial

IDLE = 8.0  # seconds for which a connection is kept; our daemons keep it longer


class Connections:
    """Connections that may be used again."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._idle: dict[tuple[str, int], deque[tuple[float, socket.socket]]] = {}
        self._lock = threading.Lock()

    def take(self, host: str, port: int, fresh: bool) -> tuple[socket.socket, bool]:
        """A connection, and whether it was used before. Raises OSError."""
        with self._lock:
            kept = self._idle.get((host, port))
            while kept and not fresh:
                since, connection = kept.pop()
                if time.monotonic() - since < IDLE:
                    return connection, True
                connection.close()
        return dial(self._policy, host, port), False

    def give(self, host: str, port: int, connection: socket.socket) -> None:
        with self._lock:
            self._idle.setdefault((host, port), deque()).append((time.monotonic(), connection))

    def close(self) -> None:
        with self._lock:
            for kept in self._idle.values():
                for _, connection in kept:
                    connection.close()
            self._idle.clear()
