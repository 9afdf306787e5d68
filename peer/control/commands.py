"""The commands, of which those that find and share are here; each ends by returning, or with a Stop or a Refusal."""

import os
from argparse import Namespace
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import asdict

from common.ids import is_file_id
from common.wire.files import CATEGORIES
from peer.control import queued
from peer.control.cached import cache
from peer.control.exits import Exit, Stop
from peer.control.getting import get
from peer.control.output import SharedPath, builtins, shown
from peer.control.paths import why_missing, why_not_there
from peer.control.surroundings import Surroundings


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


COMMANDS: dict[str, Callable[[Surroundings, Namespace], Coroutine[Any, Any, None]]] = {
    "cache": cache,
    "cancel": queued.cancel,
    "downloads": queued.downloads,
    "get": get,
    "limits": queued.limits,
    "ls": ls,
    "open": open_page,
    "pause": queued.pause,
    "resume": queued.resume,
    "search": search,
    "share": share,
    "status": status,
    "unshare": unshare,
}
