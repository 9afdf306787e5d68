"""The commands that look after the peer's downloads, and how fast it may be."""

from argparse import Namespace

from msgspec.structs import replace

from common.runtime.kinds import RATE, SWITCH, Kind
from common.wire.transfer import Download
from peer.control.exits import Exit, Stop
from peer.control.output import builtins, shown
from peer.control.remote import OwnPeer
from peer.control.surroundings import Surroundings

LATEST = 20  # finished downloads that are shown
ID_LENGTH = 16
SHORTEST_BEGINNING = 4  # characters of an id
RATES = tuple(
    f"{direction}{what}" for direction in ("upload", "download") for what in ("", "_per_peer", "_per_transfer")
)


async def downloads(here: Surroundings, given: Namespace) -> None:
    """`peer downloads`"""
    async with here.own_peer() as peer:
        found = await peer.downloads()
    finished = [download for download in found if download.state == "finished"]
    left_out = set() if given.all else {download.id for download in finished[:-LATEST]}
    here.output.downloads([download for download in found if download.id not in left_out], len(left_out))


async def pause(here: Surroundings, given: Namespace) -> None:
    """`peer pause ID…`"""
    async with here.own_peer() as peer:
        for download_id in await _ids(peer, given.ids):
            download = await peer.pause(download_id)
            told = f"Paused: {shown(download.filename)}. `peer resume {download.id}` goes on with it."
            here.output.answered(builtins(download), told)


async def resume(here: Surroundings, given: Namespace) -> None:
    """`peer resume ID…`"""
    async with here.own_peer() as peer:
        for download_id in await _ids(peer, given.ids):
            download = await peer.resume(download_id)
            here.output.answered(builtins(download), f"Going on: {shown(download.filename)}.")


async def cancel(here: Surroundings, given: Namespace) -> None:
    """`peer cancel ID…`"""
    async with here.own_peer() as peer:
        for download_id in await _ids(peer, given.ids):
            download = await peer.download(download_id)
            answer = await peer.cancel(download_id)
            what = "Forgotten, the file stays" if download.state == "finished" else "Cancelled"
            here.output.answered({**builtins(answer), "id": download_id}, f"{what}: {shown(download.filename)}.")


async def _ids(peer: OwnPeer, given: list[str]) -> list[str]:
    """The downloads that are meant, each once. Raises Stop for what is none, before anything is done."""
    if all(len(one) == ID_LENGTH for one in given):
        return list(dict.fromkeys(one.lower() for one in given))
    known = await peer.downloads()
    return list(dict.fromkeys(_meant(one.lower(), known) for one in given))


def _meant(given: str, known: list[Download]) -> str:
    found = [one.id for one in known if one.id.startswith(given)] if len(given) >= SHORTEST_BEGINNING else []
    if len(found) == 1:
        return found[0]
    if found:
        detail = f"{len(found)} downloads begin with {shown(given)}: write more of the id."
        raise Stop(Exit.USAGE, "ambiguous", detail)
    detail = f"There is no download {shown(given)}: `peer downloads` lists them."
    raise Stop(Exit.NOT_FOUND, "download_not_found", detail)


async def limits(here: Surroundings, given: Namespace) -> None:
    """`peer limits`"""
    changes = _changes(given)
    async with here.own_peer() as peer:
        kept = await peer.limits()
        here.output.limits(await peer.set_limits(replace(kept, **changes, now=None)) if changes else kept)


def _changes(given: Namespace) -> dict[str, object]:
    """What is to be set. Raises Stop for what cannot be read."""
    changes: dict[str, object] = {
        name: _read(RATE, name, written) for name in RATES if (written := getattr(given, name)) is not None
    }
    if given.lan_exempt is not None:
        changes["lan_exempt"] = _read(SWITCH, "lan_exempt", given.lan_exempt)
    if given.schedule is not None:
        changes["schedule"] = [line.strip() for line in given.schedule if line.strip()]
    return changes


def _read(kind: Kind, name: str, written: str) -> object:
    try:
        return kind.read(written.strip())
    except ValueError:
        flag = f"--{name.replace('_', '-')}"
        expected = "yes or no" if kind is SWITCH else kind.expected
        detail = f"{flag} is {shown(written)}, expected {expected}."
        raise Stop(Exit.USAGE, "invalid_parameter", detail) from None
