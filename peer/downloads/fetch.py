"""Fetching one file, told event by event: what the commands stand on when no peer of the owner's runs."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence

from common.content.hashing import SHA256, Algorithm
from common.content.names import free_name
from common.http.outgoing import Outgoing
from common.wire.files import Source
from peer.downloads import events
from peer.downloads.events import Event
from peer.downloads.others import Crowd
from peer.downloads.part_file import Wanted, drop_published, part_name
from peer.downloads.proof import holds
from peer.downloads.standing import Patience
from peer.downloads.terms import Terms
from peer.downloads.transfer import Find, Tell, Transfer


async def fetch(
    wanted: Wanted,
    sources: Sequence[Source] | Find,
    outgoing: Outgoing,
    patience: Patience | None = None,
    *,
    sequential: bool = False,
    algorithm: Algorithm = SHA256,
) -> AsyncGenerator[Event, None]:
    """Fetches `wanted` and yields what happens. Closed early (`aclosing`) it stops, and the part file stays.

    `sources`: those that there are, or how they are found, which is asked again while it goes on.

    Raises Refusal: proof_failed, no_source_online, source_unavailable, disk_full, invalid_path, download_running.
    """

    async def find() -> Sequence[Source]:
        return await sources() if callable(sources) else sources

    happened: asyncio.Queue[Event | None] = asyncio.Queue()
    terms = Terms(patience or Patience(), sequential, algorithm=algorithm)
    task = asyncio.create_task(obtain(wanted, outgoing, find, happened.put_nowait, terms))
    task.add_done_callback(lambda _: happened.put_nowait(None))
    try:
        while event := await happened.get():
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def obtain(
    wanted: Wanted, outgoing: Outgoing, find: Find, tell: Tell, terms: Terms, crowd: Crowd | None = None
) -> str:
    """The path of the file, fetched unless it is there already. Raises Refusal."""
    if there := await already_there(wanted, terms.algorithm):
        drop_published(wanted, there)
        tell(events.Finished(there, wanted.id, wanted.size, already_there=True))
        return there
    tell(events.Started(wanted.id, wanted.size, os.path.join(wanted.folder, part_name(wanted.name, wanted.id))))
    path = await Transfer(wanted, outgoing, find, tell, terms, crowd).run()
    tell(events.Finished(path, wanted.id, wanted.size))
    return path


async def already_there(wanted: Wanted, algorithm: Algorithm = SHA256) -> str | None:
    """The path of the target, or of the first `NAME (2)` and so on, that holds this very content."""
    others: set[str] = set()
    while True:
        path = os.path.join(wanted.folder, name := free_name(wanted.name, others.__contains__))
        if not os.path.lexists(path):  # noqa: ASYNC240 - no slower than the open that follows
            return None
        if await holds(path, wanted.id, wanted.size, algorithm):
            return path
        others.add(name)
