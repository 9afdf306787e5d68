"""What others are shown of an entry: category, tags, audience, and the words that a search finds it by.

Tags are the owner's, where the owner has set any for this content, else those of its name and of every share around it.
The audience is the owner's for this content, else that of the innermost share around it that names one.
"""

import json
import os
import sqlite3
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from common.content.categories import category_of, tags_of
from common.content.names import display_path
from peer.shares.agenda import Place
from peer.shares.share import relative
from peer.shares.tree import join

PUBLIC = "public"
MOST_TAGS = 64
LONGEST_TAG = 64  # characters
CACHED = "downloads"
"""The folder of the catalogue in which cached downloads are shown."""


class Face(NamedTuple):
    """The columns of an entry that follow from its place and its content."""

    category: str
    tags: str
    audience: str
    words: str
    withheld: int


class _Around(NamedTuple):
    path: bytes
    tags: list[str]
    audience: str | None


class Faces:
    """Faces by what the tables say now."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._labels: dict[int, str] = {}
        self._roots: dict[int, bytes] = {}
        self._files: set[int] = set()
        self._cache: int | None = None
        self._around: list[_Around] = []
        for share, path, label, kind, tags, audience, wanted, is_cache in connection.execute(
            "SELECT id, path, label, kind, tags, audience, (configured OR requested) AND NOT unshared, is_cache"
            " FROM share ORDER BY length(path)"
        ):
            self._labels[share] = CACHED if is_cache else label
            self._cache = share if is_cache else self._cache
            self._roots[share] = path if kind == "folder" else os.path.dirname(path)
            if kind == "file":
                self._files.add(share)
            if wanted and (tags != "[]" or audience is not None):
                self._around.append(_Around(path, json.loads(tags), audience))

    def label(self, share: int) -> str:
        """What the share is called."""
        return self._labels[share]

    def is_file(self, share: int) -> bool:
        """Whether it is a share of a single file."""
        return share in self._files

    def shown_folder(self, place: Place) -> bytes:
        """The folder as others see it: that of a cached file is called by its id, which says nothing."""
        return b"" if place.share == self._cache else place.folder

    def of(self, place: Place, name: bytes, file_id: str) -> Face:
        """The face of a file with these bytes at this place."""
        shown = display_path(name)
        tags, audience, withheld = self._connection.execute(
            "SELECT max(tags), max(audience), coalesce(max(withheld), 0) FROM content WHERE hash = ?", (file_id,)
        ).fetchone()
        around = self._enclosing(place, name) if self._around else []
        own = [] if place.share == self._cache else tags_of(shown)
        listed = json.loads(tags) if tags is not None else _merged(own, around)
        category = category_of(shown)
        if audience is None:
            audience = next((share.audience for share in reversed(around) if share.audience is not None), PUBLIC)
        words = searchable(" ".join((display_path(join(self.shown_folder(place), name)), category, *listed)))
        return Face(category, json.dumps(listed, ensure_ascii=False), audience, words, withheld)

    def carry_over(self, before: str, after: str) -> None:
        """What the owner said of a content goes on to the one that takes its place."""
        self._connection.execute(
            "INSERT INTO content (hash, tags, audience) SELECT ?, tags, audience FROM content"
            " WHERE hash = ? AND (tags IS NOT NULL OR audience IS NOT NULL) ON CONFLICT (hash) DO UPDATE"
            " SET tags = coalesce(tags, excluded.tags), audience = coalesce(audience, excluded.audience)",
            (after, before),
        )

    def renew(self, where: str, values: tuple[object, ...], change: int) -> None:
        """Works out anew the faces of the entries that fit a condition; those that changed count as changed."""
        for row, share, folder, name, file_id in self._connection.execute(
            f"SELECT id, share, folder, name, hash FROM entry WHERE hash IS NOT NULL AND ({where})", values
        ).fetchall():
            face = self.of(Place(share, folder), name, file_id)
            self._connection.execute(
                "UPDATE entry SET tags = ?, audience = ?, words = ?, change = ?, dirty = offered OR announced"
                " WHERE id = ? AND (tags <> ? OR audience <> ?)",
                (face.tags, face.audience, face.words, change, row, face.tags, face.audience),
            )

    def _enclosing(self, place: Place, name: bytes) -> list[_Around]:
        path = join(join(self._roots[place.share], place.folder), name)
        return [share for share in self._around if relative(share.path, path) is not None]


def searchable(text: str) -> str:
    """Text as a search compares it: composed, without case, and fit for the database."""
    return unicodedata.normalize("NFC", text.casefold()).encode("utf-8", "replace").decode()


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are kept: trimmed, none empty, none twice."""
    return list(dict.fromkeys(tag for tag in (" ".join(raw.split())[:LONGEST_TAG] for raw in tags) if tag))[:MOST_TAGS]


def _merged(own: list[str], around: list[_Around]) -> list[str]:
    return clean_tags([*own, *(tag for share in around for tag in share.tags)])
