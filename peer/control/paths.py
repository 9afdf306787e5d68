"""What an owner names on this machine, looked at before anybody is asked: is it there, can it be read. Calls block."""

import os
import stat

from common.runtime.obstacles import remedy
from common.wire.files import Share
from peer.control.output import shown


def why_not_there(path: str) -> str:
    """One line that says what to do when nothing lies at `path`; empty when something does, readable or not."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return f"There is no folder {shown(path)}, nor a file of that name: make it first, or name another."
    except OSError as error:
        return _unreadable(path, error)
    return ""


def why_not_readable(path: str) -> str:
    """The same for what cannot be read either."""
    if why := why_not_there(path):
        return why
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.scandir(path).close()
        elif not os.access(path, os.R_OK):
            return f"{shown(path)} cannot be read: let this account read it, or name another."
    except OSError as error:
        return _unreadable(path, error)
    return ""


def why_missing(share: Share) -> str:
    """Why the peer calls one of its shares missing, as far as that can be seen from here; empty for another state."""
    if share.state != "missing":
        return ""
    try:
        os.stat(share.path)
    except OSError as error:
        return error.strerror or str(error)
    return "the peer cannot read it, or leaves it out: its log says why"


def _unreadable(path: str, error: OSError) -> str:
    return f"{shown(path)} cannot be read ({error.strerror}): {remedy(error) or 'look after it'}, or name another."
