"""A download as its owner sees it, the same everywhere: in answers, events, on the page and in the terminal."""

from collections.abc import Iterator

from common.runtime.clock import utc
from common.wire.transfer import Download, SourceProgress
from peer.downloads.record import Record
from peer.downloads.standing import Standing
from peer.downloads.transfer import Transfer


def download(record: Record, transfer: Transfer | None = None, hashed: int | None = None) -> Download:
    """One download. `transfer`: at work on it; `hashed`: bytes, once all are there and the whole is checked."""
    state, verified = record.state, record.verified
    received, rate, eta = verified, 0.0, None
    if transfer is not None:
        state = "running" if hashed is None else "verifying"
        verified, received, rate, eta = transfer.verified, transfer.received, transfer.rate, transfer.eta
    return Download(
        id=record.id,
        file_id=record.file_id,
        filename=record.name,
        path=record.path,
        size=record.size,
        state=state,
        why=record.why if transfer is None else why(transfer),
        priority=record.priority,
        sequential=record.sequential,
        verified=verified,
        received=received,
        rate=rate,
        eta=eta,
        sources=[] if transfer is None else list(sources(transfer)),
        added=utc(record.added),
        finished=utc(record.finished) if record.finished is not None else None,
        code=record.code if transfer is None else "",
    )


def why(transfer: Transfer) -> str:
    """What a running download waits for; empty while bytes come."""
    course = transfer.course
    if course.phase == "choosing":
        return "Looking for sources and their lists of pieces."
    if course.phase == "taking up":
        return "Checking what is there already."
    if course.plan.requests or course.phase != "gathering":
        return ""
    told = [s for s in course.plan.standings.values() if s.latest is not None]
    if not told:
        return "Nobody who is online has the missing pieces."
    return f"Waiting: {_named(told[-1])} {told[-1].latest.detail if told[-1].latest else ''}."


def sources(transfer: Transfer) -> Iterator[SourceProgress]:
    """Every source of a running download, and those that made a false claim of it."""
    now, course = transfer.now(), transfer.course
    liars = {source.url: trouble for source, trouble in course.blamed}
    for standing in (s for s in course.standings() if s.source.url in course.plan.standings or s.source.url in liars):
        latest = liars.get(standing.source.url, standing.latest)
        yield SourceProgress(
            peer_id=standing.source.peer_id,
            state="dropped" if standing.source.url in liars else _state(standing, now),
            why=latest.detail if latest is not None else standing.source.why,
            complete=standing.complete,
            direct=standing.source.direct,
            received=standing.received,
            verified=standing.verified,
            rate=sum(r.speed(now) for r in course.plan.requests if r.standing is standing),
            place=latest.place if latest is not None and not standing.requests else 0,
        )


def _state(standing: Standing, now: float) -> str:
    if standing.dropped:
        return "dropped"
    if standing.requests:
        return "active"
    if standing.latest is not None and standing.not_before > now:
        return "busy" if standing.latest.outcome == "busy" else "waiting"
    return "idle"


def _named(standing: Standing) -> str:
    return f"the source {standing.source.peer_id[:12]}"
