"""Listings in memory, column by column, as a search goes through them: whole columns at once, in numpy.

A document is a listing's place in the columns. One that changes its text gets a new place and the old one is dead,
until more than half are dead and all move together. Guarantees nothing about threads: whoever searches keeps others
out.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

END = 0xFF  # follows each text; no byte of UTF-8
REMEMBERED = 16  # words, as one search asks for them more than once and the next page again
SLACK = 1024  # dead documents that are always borne
FEW = 1 << 20  # sources online are ranked up to here,
MANY = (1 << 32) - 1  # downloads up to here
LONG = 255  # and lengths of names up to here


class Document(NamedTuple):
    """What is known here of a listing, in the order of the columns in the database."""

    n: int
    audience: str
    category: str
    extension: str
    size: int
    modified: float | None
    upload_time: float
    downloads: int
    online_sources: int
    sort_name: str
    text: str


_NUMBERS = (
    "n",
    "audience",
    "category",
    "extension",
    "size",
    "downloads",
    "online_sources",
    "rank",
    "start",
    "name_end",
)
_TIMES = ("modified", "upload_time")


class Columns:
    """All listings. `column` is read, not written, by others."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._words: dict[str, int] = {}
        self._clear(0)

    def _clear(self, room: int) -> None:
        self._count = 0
        self._places.clear()
        self._words.clear()  # else those that nobody uses any more would stay
        self.names: list[str] = []
        self._order: NameOrder | None = None
        self._found: dict[str, tuple[Numbers, Numbers]] = {}
        self._rows: list[Document] = []
        self._columns: dict[str, npt.NDArray[Any]] = {
            **{name: np.zeros(room, np.int64) for name in _NUMBERS},
            **{name: np.zeros(room, np.float64) for name in _TIMES},
            "alive": np.zeros(room, np.bool_),
        }
        self._text = np.zeros(room * 32, np.uint8)
        self._text_end = 0

    def __len__(self) -> int:
        return len(self._places)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column, dead documents included (see `alive`)."""
        return self._columns[name][: self._count]

    def word(self, text: str) -> int:
        """The number that stands for a category, an extension or an audience in its column; -1 for one never seen."""
        return self._words.get(text, -1)

    def name_order(self) -> "NameOrder":
        """Where each document stands by its name, worked out once after names came."""
        if self._order is None:
            self._order = NameOrder(self.names)
        return self._order

    def put(self, documents: Iterable[Document]) -> None:
        """Takes listings that are new or changed."""
        for document in documents:
            place = self._places.get(document.n)
            if place is None or self._rows[place].text != document.text or self.names[place] != document.sort_name:
                self._kill(place)
                place = self._append(document)
            self._write(place, document)
        self._tidy()

    def drop(self, ns: Iterable[int]) -> None:
        """Listings that are gone."""
        for n in ns:
            self._kill(self._places.pop(n, None))
        self._tidy()

    def _kill(self, place: int | None) -> None:
        if place is not None:
            self._columns["alive"][place] = False

    def _append(self, document: Document) -> int:
        place, text = self._count, document.text.encode()
        if place == len(self._columns["n"]):
            for name, column in self._columns.items():
                self._columns[name] = _longer(column, place + 1)
        end = self._text_end + len(text) + 1
        if end > len(self._text):
            self._text = _longer(self._text, end)
        self._text[self._text_end : end - 1] = np.frombuffer(text, np.uint8)
        self._text[end - 1] = END
        self._columns["start"][place] = self._text_end
        self._columns["name_end"][place] = self._text_end + len(text.partition(b"\n")[0])
        self._text_end = end
        self._count += 1
        self._places[document.n] = place
        self.names.append(document.sort_name)
        self._order = None
        self._found.clear()
        self._rows.append(document)
        return place

    def _write(self, place: int, document: Document) -> None:
        columns = self._columns
        for name in ("n", "size", "downloads", "online_sources", "upload_time"):
            columns[name][place] = getattr(document, name)
        for name in ("audience", "category", "extension"):
            columns[name][place] = self._words.setdefault(getattr(document, name), len(self._words))
        columns["modified"][place] = np.nan if document.modified is None else document.modified
        columns["rank"][place] = _rank(document)
        columns["alive"][place] = True
        self._rows[place] = document

    def _tidy(self) -> None:
        if self._count <= 2 * len(self._places) + SLACK:
            return
        alive = [self._rows[place] for place in self._places.values()]
        self._clear(len(alive))
        self.put(alive)

    def holding(self, part: str) -> tuple[Numbers, Numbers]:
        """The documents whose text holds `part`, ascending, and where in the text it stands first."""
        if part in self._found:
            return self._found[part]
        positions = self._positions(part.encode())
        places = np.searchsorted(self.column("start"), positions, side="right") - 1
        first = np.ones(len(places), np.bool_)
        first[1:] = places[1:] != places[:-1]
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[part] = places[first], positions[first]
        return self._found[part]

    def _positions(self, part: bytes) -> Numbers:
        """Compares the letters one after the other, each only where those before it fit."""
        text = self._text[: self._text_end]
        if not part or len(part) > len(text):
            return np.zeros(0, np.int64)
        found = np.flatnonzero(text[: len(text) - len(part) + 1] == part[0])
        for offset, letter in enumerate(part[1:], 1):
            found = found[text[found + offset] == letter]
        return found


class NameOrder:
    """The order of names; equal names have one rank."""

    def __init__(self, names: list[str]) -> None:
        self._names = sorted(set(names))
        numbers = {name: number for number, name in enumerate(self._names)}
        self.ranks = np.fromiter((numbers[name] for name in names), np.int64, len(names))

    def rank(self, name: str) -> float:
        """The rank that a name has, or would have between two others."""
        place = bisect_left(self._names, name)
        there = place < len(self._names) and self._names[place] == name
        return place if there else place - 0.5


def _rank(document: Document) -> int:
    """Less is better: more sources online, then more downloads, then a shorter name."""
    online, downloads = FEW - min(document.online_sources, FEW), MANY - min(document.downloads, MANY)
    return (online << 40) + (downloads << 8) + min(len(document.sort_name), LONG)


def _longer(column: npt.NDArray[Any], least: int) -> npt.NDArray[Any]:
    longer = np.zeros(max(least, len(column) * 3 // 2, SLACK), column.dtype)
    longer[: len(column)] = column
    return longer
