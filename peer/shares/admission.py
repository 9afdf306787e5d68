"""What may become a share at all: a folder or regular file that is there, holds no keys by its name, and is not the
daemon's own data folder.
"""

import os
import stat
from collections.abc import Iterable

from common.content.names import display_path
from common.errors import Forbidden, Invalid, NotFound
from common.runtime.mounts import state_folders
from peer.shares.disk import open_folder
from peer.shares.forbidden import is_unfinished, key_like_part
from peer.shares.share import Share, home_of, relative
from peer.shares.tree import Rules, is_data_folder


def admitted(path: str, data: bytes) -> tuple[bytes, bool]:
    """(the path without links, whether it is a folder). Blocks. Raises Invalid, NotFound, Forbidden."""
    if not os.path.isabs(path) or "\0" in path:
        raise Invalid("invalid_path", "Name the path from the root of the disk, such as /home/me/music.")
    real = real_path(path)
    try:
        found = os.stat(real)
    except OSError as error:
        raise NotFound("invalid_path", f"{shown(real)} cannot be shared: {error.strerror}.") from None
    refuse_by_name(real, data)
    refuse_by_kind(real)
    if stat.S_ISREG(found.st_mode) and is_unfinished(real):
        raise _forbidden(real, "its name is that of a file which is still being written")
    return real, stat.S_ISDIR(found.st_mode)


def refuse_by_name(real: bytes, data: bytes) -> None:
    """Raises Forbidden for what is never shared, whether it is there or not."""
    if relative(data, real) is not None:
        raise _forbidden(real, "it belongs to this daemon")
    part = key_like_part(real)
    if part:
        raise _forbidden(real, f"{shown(part)} is the name of a file or folder that holds secrets")


def refuse_by_kind(real: bytes) -> None:
    """Raises Forbidden for what is there and has no content that lasts."""
    try:
        found = os.stat(real)
    except OSError:
        return
    if found.st_dev in state_folders().devices:
        raise _forbidden(real, "it shows the state of the system and is no file")
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise _forbidden(real, "it is neither a folder nor a regular file")
    if _is_in_data_folder(real if stat.S_ISDIR(found.st_mode) else os.path.dirname(real)):
        raise _forbidden(real, "it belongs to a daemon of this network")


def _is_in_data_folder(folder: bytes) -> bool:
    try:
        fd = open_folder(folder)
    except OSError:
        return False
    try:
        return is_data_folder(fd)
    finally:
        os.close(fd)


def real_path(path: str) -> bytes:
    """The path as bytes, without links; of what is not there, as far as it is."""
    try:
        return os.path.realpath(os.fsencode(path))
    except (OSError, ValueError):
        raise Invalid("invalid_path", "The path cannot be used.") from None


def is_left_out(path: bytes, shares: Iterable[Share], rules: Rules, base: Rules) -> bool:
    """Whether a finished download is not to be offered on: by its name, because it lies where the owner wants nothing
    to be offered, or because a share comes past it. `base` is `rules` without what the owner left out."""
    if base.objection(os.path.basename(path)) or key_like_part(path):
        return True
    if any(relative(folder, path) is not None for folder in rules.closed - base.closed):
        return True
    return home_of(path, shares, rules) is not None


def base_rules(include_hidden: bool, data: bytes) -> Rules:
    """What every scan leaves out, under whatever path it may come there: the data folder, and the system's state."""
    found = os.stat(data)
    return Rules(include_hidden, frozenset({data}), state_folders().roots | {(found.st_dev, found.st_ino)})


def shown(path: bytes) -> str:
    """A path for the owner's eyes."""
    return display_path(path)


def _forbidden(path: bytes, why: str) -> Forbidden:
    return Forbidden("path_not_shareable", f"{shown(path)} cannot be shared: {why}.")
