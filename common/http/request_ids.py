"""Ids that tie an answer to its lines in the log: unique in a process, not guessable across processes, cheap to make."""

import itertools
import secrets

_prefix = secrets.token_hex(4)
_numbers = itertools.count(1)


def new_request_id() -> str:
    """For example `9f86d081-1c`."""
    return f"{_prefix}-{next(_numbers):x}"
