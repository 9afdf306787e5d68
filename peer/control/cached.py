"""`peer cache`: what the peer offers on of what it has fetched."""

from argparse import Namespace

from common.ids import is_file_id
from peer.control.exits import Exit, Stop
from peer.control.output import builtins, shown
from peer.control.surroundings import Surroundings


async def cache(here: Surroundings, given: Namespace) -> None:
    """`peer cache [clear | drop ID…]`"""
    ids = _named(given)
    async with here.own_peer() as peer:
        if given.what == "clear":
            answer = await peer.clear_cache()
            here.output.answered(builtins(answer), answer.message)
        elif ids:
            for file_id in ids:
                answer = await peer.drop_cached(file_id)
                here.output.answered({**builtins(answer), "id": file_id}, f"Offered on no longer: {shown(file_id)}")
        else:
            here.output.cached(await peer.cache())


def _named(given: Namespace) -> list[str]:
    """The ids that were named. Raises Stop where they do not fit what is to be done."""
    ids = [file_id.lower() for file_id in given.ids]
    if bool(ids) != (given.what == "drop"):
        raise Stop(Exit.USAGE, "invalid_parameter", "Say `peer cache`, `peer cache drop ID…` or `peer cache clear`.")
    if strange := [file_id for file_id in ids if not is_file_id(file_id)]:
        detail = f"“{shown(strange[0])}” is no file's id: `peer cache` shows the ids, of 64 digits."
        raise Stop(Exit.USAGE, "invalid_parameter", detail)
    return ids
