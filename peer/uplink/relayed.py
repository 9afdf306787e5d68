"""Telling what this peer asks itself for others, over its line, from what is asked on this machine."""

import secrets

from aiohttp import web

MARK = "X-Relayed"


class Relayed:
    """Tells what this peer asks itself for others from what is asked by others: by a word that nobody else knows."""

    def __init__(self) -> None:
        self._word = secrets.token_urlsafe(32)

    def mark(self) -> dict[str, str]:
        """The header of a request that is made for somebody else."""
        return {MARK: self._word}

    def is_marked(self, request: web.Request) -> bool:
        """Whether a request was made here for somebody else."""
        said = request.headers.get(MARK)
        return said is not None and secrets.compare_digest(said.encode("utf-8", "replace"), self._word.encode())
