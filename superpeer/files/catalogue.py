"""Catalogues in: what a delta must be like, and what an entry becomes. Pure.

The version held decides: a delta that does not continue it is refused with the version held, so a peer whose answer
was lost sees that its call had been taken, and a super-peer that lost its database gets everything again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common import errors
from common.content.categories import category_of, mime_of
from common.content.names import is_relative_path
from common.wire.files import CATEGORIES, CatalogueDelta, Entry, FileRegistration
from superpeer.files.listing import stored, tidy

LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of a peer's catalogue. `round` counts the beginnings: entries of an older one go at `complete`."""

    catalogue_id: str | None
    version: int
    round: int

    def advance(self, delta: CatalogueDelta) -> "Held":
        """What is held after `delta`. Raises Conflict when it does not continue what is held."""
        if delta.base_version == 0:
            return Held(delta.catalogue_id, 1, self.round + 1)
        if delta.catalogue_id != self.catalogue_id or delta.base_version != self.version:
            raise errors.Conflict(
                "catalogue_out_of_step",
                f"Version {self.version} is held here; continue from it, or begin anew with base_version 0.",
                catalogue_id=self.catalogue_id,
                catalogue_version=self.version,
            )
        return Held(self.catalogue_id, self.version + 1, self.round)


def check_paths(delta: CatalogueDelta) -> None:
    """Raises Invalid for a path that is no place in a catalogue, or is named twice."""
    paths = [entry.path for entry in delta.add]
    for path in paths:
        if not is_relative_path(path):
            raise errors.Invalid("invalid_path", f"{path[:200]!r} is not a relative path with `/` between its parts.")
    if len(set(paths)) != len(paths):
        raise errors.Invalid("invalid_path", "A delta names each path at most once in `add`.")


def columns(entry: Entry) -> dict[str, Any]:
    """An entry as its row has it, without the numbers that the store gives."""
    name = entry.path.rpartition("/")[2]
    mime = entry.mime or mime_of(name)
    category = entry.category if entry.category in CATEGORIES else category_of(name, mime)
    return {
        "path": entry.path,
        "name": name,
        "size": entry.size,
        "category": category,
        "tags": stored(list(dict.fromkeys(filter(None, map(tidy, entry.tags))))),
        "mime": mime,
        "modified": timestamp(entry.modified) if entry.modified else None,
        "manifest": entry.manifest,
        "audience": entry.audience,
    }


def timestamp(moment: datetime) -> float | None:
    """Seconds since the epoch, in UTC where no zone is named; None for a moment that UTC's calendar cannot show."""
    try:
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).timestamp()
    except OverflowError:
        return None
    return seconds if seconds <= LATEST else None


def single(registration: FileRegistration) -> Entry:
    """A file that a program announced by itself, as an entry."""
    return Entry(
        path=registration.filename,
        id=registration.hash,
        size=registration.size,
        modified=registration.modified,
        mime=registration.mime,
        category=registration.category,
        tags=registration.tags or [],
        audience=registration.audience,
    )
