"""What both daemons make of the refusal of a source that one of them asks for somebody else."""

from common.http.outgoing import OutgoingError
from common.wire.relay import RelayHead

NO_ANSWER = 502


def head_of(error: OutgoingError) -> RelayHead:
    """How an answer without success begins."""
    told = {} if error.retry_after is None else {"Retry-After": str(int(error.retry_after))}
    size, place = error.problem.get("size"), error.problem.get("place")
    if isinstance(size, int):
        told["Content-Range"] = f"bytes */{size}"
    return RelayHead(error.status or NO_ANSWER, told, error.code, place if isinstance(place, int) else None)
