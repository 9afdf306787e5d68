"""The commands that find, fetch and share; each ends by returning, or with a Stop or a Refusal."""

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from msgspec.structs import asdict, replace

from common.ids import FileId, is_file_id
from common.wire.files import CATEGORIES, FileInfo
from peer.control.choice import chosen, destination, name_of
from peer.control.exits import Exit, Stop
from peer.control.output import SharedPath, builtins, shown
from peer.control.paths import why_missing, why_not_there
from peer.control.remote import SuperPeer
from peer.control.surroundings import Network, Surroundings
from peer.downloads.events import Progress, Resumed, Started
from peer.downloads.fetch import fetch
from peer.downloads.part_file import Wanted

MANY = 1000  # as many as one search answers
SHOWN_CHOICES = 20


async def search(here: Surroundings, given: Namespace) -> None:
    """`peer search WORDS`"""
    query = [("q", " ".join(given.words)), ("limit", str(given.limit))]
    query += [(key, value) for key in ("category", "ext", "sort") if (value := getattr(given, key))]
    query += [("tag", tag) for tag in given.tag]
    query += [("online", "false")] if given.offline else []
    async with here.network() as network:
        answer = await network.super_peer.search(query)
    here.output.results(answer, _nothing(given))
    if not answer.results and given.category and given.category not in CATEGORIES:
        here.output.note(f"There is no category “{shown(given.category)}”: choose one of {', '.join(CATEGORIES)}.")


def _nothing(given: Namespace) -> str:
    """What to say when nothing was found."""
    who = "" if given.offline else " by anybody who is online"
    if given.words:
        return f"No file{'' if given.offline else ' that is online'} fits “{shown(' '.join(given.words))}”."
    if given.category or given.ext or given.tag:
        return f"No such file is shared{who}."
    return f"Nothing is shared yet{who}. Share a file or a folder with `peer share PATH`."


async def ls(here: Surroundings, given: Namespace) -> None:
    """`peer ls`"""
    async with here.own_peer() as peer:
        here.output.shared(await peer.files())


async def status(here: Surroundings, given: Namespace) -> None:
    """`peer status`"""
    async with here.own_peer() as peer:
        info = await peer.info()
        try:
            shares, damaged = await peer.shares(), await peer.damaged()
            paths = [SharedPath(**asdict(share), why=why_missing(share)) for share in shares]
            here.output.status(info, paths, damaged)
        except Stop as stop:  # what is shared by path is the owner's to know
            here.output.status(info, stop.detail, ())


async def share(here: Surroundings, given: Namespace) -> None:
    """`peer share PATH`"""
    path = os.path.abspath(given.path)  # noqa: ASYNC240 - nothing else runs here that could wait
    if why := why_not_there(path):
        raise Stop(Exit.NOT_FOUND, "not_found", why)
    async with here.own_peer() as peer:
        answer = await peer.share(path, given.tag)
    told = f"Shared {shown(path)}\n{shown(answer.file_id)}"
    if not answer.file_id:
        told = f"Shared the folder {shown(path)}: its files appear as they are read."
    here.output.answered({**builtins(answer), "path": path}, told)


async def unshare(here: Surroundings, given: Namespace) -> None:
    """`peer unshare ID|PATH`"""
    file_id = given.what.lower()
    async with here.own_peer() as peer:
        if is_file_id(file_id):
            answer, what = await peer.unshare(file_id, given.delete), file_id
        elif given.delete:
            raise Stop(Exit.USAGE, "invalid_parameter", "--delete goes with a file's id: folders stay.")
        else:
            what = os.path.abspath(given.what)  # noqa: ASYNC240
            answer = await peer.unshare_path(what)
    here.output.answered(builtins(answer), f"No longer shared: {shown(what)}")


async def open_page(here: Surroundings, given: Namespace) -> None:
    """`peer open`"""
    async with here.own_peer() as peer:
        link = await peer.page_link()
    here.output.answered({"message": link, "url": link}, link)


async def get(here: Surroundings, given: Namespace) -> None:
    """`peer get ID|NAME`"""
    async with here.network() as network:
        info = await _meant(here, network.super_peer, given.file)
        if not is_file_id(info.id) or info.size < 0:
            raise Stop(Exit.FAILED, "invalid_body", "The super-peer answered with what cannot be a file.")
        name = name_of(info, given.file)
        folder, name = destination(given.output, here.config.peer.downloads, name)
        await _fetch(here, network, Wanted(FileId(info.id), info.size, folder, name))


async def _meant(here: Surroundings, super_peer: SuperPeer, asked: str) -> FileInfo:
    """The one file that an id or a name means. Raises Stop when there is none, or more than one."""
    if is_file_id(asked.lower()):
        return replace(await super_peer.file(asked.lower()), id=asked.lower())
    found = chosen(asked, await _search(super_peer, asked, online=False))
    if len(found) > 1:
        online = {info.id for info in await _search(super_peer, asked, online=True)}
        found = [info for info in found if info.id in online] or found
    if len(found) == 1:
        return found[0]
    if found:
        here.output.choices(found[:SHOWN_CHOICES])
        raise Stop(Exit.USAGE, "ambiguous", f"{len(found)} files go by “{shown(asked)}”: name one by its id.")
    detail = f"Nobody shares a file named “{shown(asked)}”: try `peer search WORDS`."
    raise Stop(Exit.NOT_FOUND, "file_not_found", detail)


async def _search(super_peer: SuperPeer, words: str, online: bool) -> list[FileInfo]:
    query = [("q", words), ("limit", str(MANY)), ("online", str(online).lower())]
    return (await super_peer.search(query)).results


async def _fetch(here: Surroundings, network: Network, wanted: Wanted) -> None:
    here.output.getting(wanted.name)
    part, received = "", 0
    sources = await network.super_peer.sources(wanted.id)
    try:
        async with aclosing(fetch(wanted, sources, network.outgoing)) as happenings:
            async for event in happenings:
                if isinstance(event, Started):
                    part = event.part
                elif isinstance(event, Progress | Resumed):
                    received = event.received
                here.output.event(event)
    except asyncio.CancelledError:
        kept = f" What came so far is in {part}; the same command goes on from there." if received else ""
        raise Stop(Exit.INTERRUPTED, "interrupted", f"Stopped.{kept}") from None


COMMANDS: dict[str, Callable[[Surroundings, Namespace], Coroutine[Any, Any, None]]] = {
    "get": get,
    "ls": ls,
    "open": open_page,
    "search": search,
    "share": share,
    "status": status,
    "unshare": unshare,
}
