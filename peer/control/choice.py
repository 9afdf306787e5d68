"""Which file a person means, and where it goes. Pure but for a look at the target folder."""

import os
from collections.abc import Sequence

from common.content.names import safe_name
from common.wire.files import FileInfo
from peer.control.exits import Exit, Stop


def chosen(name: str, found: Sequence[FileInfo]) -> list[FileInfo]:
    """Those that go by `name`: exactly, else but for case, else all. One is the answer, more are a choice."""
    exact = [info for info in found if name in _names(info)]
    folded = [info for info in found if name.casefold() in map(str.casefold, _names(info))]
    return exact or folded or list(found)


def name_of(info: FileInfo, asked: str) -> str:
    """The one of its names that was asked for, else its first."""
    return next((name for name in _names(info) if name.casefold() == asked.casefold()), info.filename)


def _names(info: FileInfo) -> list[str]:
    return [info.filename, *info.names]


def destination(output: str | None, downloads: str, name: str) -> tuple[str, str]:
    """(folder, name) to save under. `output`: a file, a folder or None; `name` comes from outside and is made safe."""
    safe = safe_name(name.rpartition("/")[2])
    if output == "-":
        raise _wrong("A file is shown only when it is proven, so it cannot go to stdout: give -o a file or a folder")
    if output is None or os.path.isdir(output):
        return folder_for(output, downloads), safe
    folder, own = os.path.split(output)
    if not own or not os.path.isdir(folder or "."):
        raise _wrong(f"There is no folder {folder}: make it first, or give -o another")
    if os.path.lexists(output) and (os.path.islink(output) or not os.path.isfile(output)):
        raise _wrong(f"{output} is no regular file: give -o another name")
    if len(os.fsencode(own)) > 255 or not own.isprintable():
        raise _wrong("The name after -o is too long, or holds what does not belong into a name")
    return folder or ".", own


def folder_for(output: str | None, downloads: str) -> str:
    """The folder that several files go to: `output`, which has to be one, else the configured one, else this one."""
    if output is None:
        os.makedirs(downloads or ".", exist_ok=True)
        return downloads or "."
    if not os.path.isdir(output):
        raise _wrong(f"There is no folder {output}: make it first, or give -o another")
    return output


def _wrong(detail: str) -> Stop:
    return Stop(Exit.USAGE, "invalid_path", f"{detail}.")
