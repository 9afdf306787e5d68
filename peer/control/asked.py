"""What `peer get` was asked for, as files with ids, sizes and places: by id or name, by a list, or a folder of a peer.

A name from outside may lead into folders below the chosen one, and nowhere else.
"""

import asyncio
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from common.http.addresses import url_host
from common.ids import is_file_id
from common.wire.files import FileInfo, SharedFile
from common.wire.peers import Peer
from peer.control.choice import chosen, destination, folder_for, name_of
from peer.control.exits import Exit, Stop
from peer.control.output import shown
from peer.control.remote import OtherPeer, SuperPeer
from peer.control.surroundings import Network, Surroundings

MANY = 1000  # as many as one search answers
SHOWN_CHOICES = 20
MOST = 10_000  # files at one time
LONGEST_LIST = 16 * 1024 * 1024
ASKED_AT_ONCE = 8
SHORTEST_BEGINNING = 6  # characters of a peer's id


_ESCAPED = re.compile(r"\\(.)")
_MEANT = {"n": "\n", "r": "\r"}


class Target(NamedTuple):
    """One file to fetch: it is to be called `name` in `folder`, below which `name` may lead."""

    file_id: str
    size: int
    folder: str
    name: str


class Asked(NamedTuple):
    """What can be fetched, and what cannot, by how it was named."""

    targets: list[Target]
    refused: list[tuple[str, Stop]]


async def asked(here: Surroundings, network: Network, given: Namespace) -> Asked:
    """Raises Stop when it cannot be known."""
    ways = [bool(given.files), given.list is not None, given.folder_of is not None]
    if sum(ways) != 1:
        raise Stop(Exit.USAGE, "invalid_parameter", "Name files by id or name, or give either --list or --from.")
    if given.list is not None:
        return await _listed(here, network.super_peer, given)
    if given.folder_of is not None:
        return Asked(await _folder(here, network, given), [])
    if len(given.files) == 1:
        return Asked([await _one(here, network.super_peer, given)], [])
    folder = folder_for(given.output, here.config.peer.downloads)
    infos = [(await _meant(here, network.super_peer, name), name) for name in given.files]
    targets = [_target(info, folder, name_of(info, name).rpartition("/")[2]) for info, name in infos]
    return Asked(list(dict.fromkeys(targets)), [])


async def _one(here: Surroundings, super_peer: SuperPeer, given: Namespace) -> Target:
    """A single file, which -o may name."""
    info = await _meant(here, super_peer, given.files[0])
    folder, name = destination(given.output, here.config.peer.downloads, name_of(info, given.files[0]))
    return _target(info, folder, name)


def _target(info: FileInfo, folder: str, name: str) -> Target:
    if not is_file_id(info.id) or info.size < 0:
        raise Stop(Exit.FAILED, "invalid_body", "The super-peer answered with what cannot be a file.")
    return Target(info.id, info.size, folder, name)


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


# A list of ids


async def _listed(here: Surroundings, super_peer: SuperPeer, given: Namespace) -> Asked:
    folder = folder_for(given.output, here.config.peer.downloads)
    lines = list(dict.fromkeys(named_in(await asyncio.to_thread(_read, given.list), given.list)))
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def look(file_id: str, name: str) -> Target | tuple[str, Stop]:
        async with turns:
            try:
                info = replace(await super_peer.file(file_id), id=file_id)
                return _target(info, folder, name or info.filename.rpartition("/")[2])
            except Stop as stop:
                if stop.exit_code is not Exit.NOT_FOUND:
                    raise
                return name or file_id, stop

    found = await asyncio.gather(*(look(*line) for line in lines))
    return Asked([f for f in found if isinstance(f, Target)], [f for f in found if not isinstance(f, Target)])


def named_in(text: str, path: str) -> Iterator[tuple[str, str]]:
    """(id, name or "") of each line: an id alone, or as sha256sum and b3sum print it. Raises Stop for another line."""
    number = 0
    for at, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        escaped = line.startswith("\\")  # how they tell a name with a newline or a backslash
        file_id, _, name = line.removeprefix("\\").strip().partition(" ")
        if not is_file_id(file_id.lower()):
            detail = f"Line {at} of {shown(path)} does not begin with an id, which has 64 hex digits."
            raise Stop(Exit.USAGE, "invalid_parameter", detail)
        number += 1
        if number > MOST:
            detail = f"{shown(path)} names more than {MOST} files: split it."
            raise Stop(Exit.USAGE, "too_many_downloads", detail)
        name = name[1:] if name[:1] in (" ", "*") else name
        yield file_id.lower(), _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), name) if escaped else name
    if not number:
        raise Stop(Exit.USAGE, "invalid_parameter", f"{shown(path)} names no file: it has an id in each line.")


def _read(path: str) -> str:
    try:
        if path == "-":
            content = sys.stdin.buffer.read(LONGEST_LIST + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(LONGEST_LIST + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        detail = f"The list {shown(path)} cannot be read: {error.strerror or error}."
        raise Stop(Exit.USAGE, "invalid_path", detail) from None
    except UnicodeDecodeError:
        raise Stop(Exit.USAGE, "invalid_parameter", f"{shown(path)} is not a list: it is no UTF-8 text.") from None
    if len(content) > LONGEST_LIST:
        raise Stop(Exit.USAGE, "invalid_parameter", f"{shown(path)} is too long for a list: split it.")
    return text


# A folder of a peer


async def _folder(here: Surroundings, network: Network, given: Namespace) -> list[Target]:
    folder = folder_for(given.output, here.config.peer.downloads)
    who, path = given.folder_of
    wanted = "/".join(part for part in path.split("/") if part)
    peer = _peer_called(who, await network.super_peer.peers())
    other = OtherPeer(network.outgoing, f"{url_host(peer.address)}:{peer.port}")
    files = [file for file in await other.below(wanted or "/", MOST) if is_below(file, wanted)]
    if not files:
        detail = f"{shown(peer.name or peer.id)} shares nothing at {shown(path)}. See its page for what it shares."
        raise Stop(Exit.NOT_FOUND, "file_not_found", detail)
    return [Target(file.id, file.size, folder, below(file.path, wanted)) for file in files]


def is_below(file: SharedFile, wanted: str) -> bool:
    """Whether it is a file at this path, or below; one that cannot be fetched is not."""
    inside = not wanted or file.path == wanted or file.path.startswith(f"{wanted}/")
    return bool(file.path) and inside and is_file_id(file.id) and file.size >= 0


def below(path: str, wanted: str) -> str:
    """The path from the folder that was named, that one included."""
    return path[wanted.rfind("/") + 1 :]


def _peer_called(who: str, peers: list[Peer]) -> Peer:
    """The one peer of this id, or name, or whose id begins so, if it is online and can be asked. Raises Stop."""
    found = (
        [peer for peer in peers if peer.id == who]
        or [peer for peer in peers if peer.name.casefold() == who.casefold()]
        or [peer for peer in peers if len(who) >= SHORTEST_BEGINNING and peer.id.startswith(who)]
    )
    found = [peer for peer in found if peer.is_online] or found
    if not found:
        raise Stop(Exit.NOT_FOUND, "peer_not_found", f"No peer of this network is called {shown(who)}.")
    if len(found) > 1:
        raise Stop(Exit.USAGE, "ambiguous", f"{len(found)} peers are called {shown(who)}: name one by its id.")
    peer, name = found[0], shown(found[0].name or found[0].id)
    if not peer.is_online:
        raise Stop(Exit.NO_SOURCE, "no_source_online", f"{name} is offline. Try again when it is back.")
    if not peer.direct:
        detail = f"{name} cannot be dialled, so its folders cannot be listed: name the files, as a search finds them."
        raise Stop(Exit.FAILED, "unreachable", detail)
    return peer


def absolute(target: Target) -> Target:
    """For a peer, which runs in another folder."""
    return target._replace(folder=os.path.abspath(target.folder))
