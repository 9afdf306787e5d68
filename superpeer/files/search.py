"""What may be asked of the index, and how one page leads to the next. Pure.

A cursor for `relevance` names a list of ids fixed at the first page and kept here for five minutes; other orders walk
by (key, number), so that a cursor stays true while the index changes.
"""

import secrets
from collections import OrderedDict
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from common import errors
from common.http.paging import Cursor, Limit
from common.wire.scalars import Count, Word
from superpeer.files.listing import fold

RELEVANT = 1000  # ids that a relevance cursor walks at most
CURSOR_LIFE = 300.0
MAX_CURSORS = 500
Sort = Literal["relevance", "name", "size", "downloads", "rating", "date"]
Text = Annotated[str, Meta(max_length=1024)]


class SearchQuery(Struct, frozen=True, kw_only=True):
    """The parameters of a search; all conditions must hold."""

    q: Text = ""
    category: Word = ""
    tag: Annotated[list[Word], Meta(max_length=16)] = field(default_factory=list)
    ext: Word = ""
    min_size: Count | None = None
    max_size: Count | None = None
    modified_after: datetime | None = None
    peer: Word = ""
    region: Word = ""
    online: bool = True
    sort: Sort = "relevance"
    limit: Limit = 50
    cursor: Cursor = ""

    def words(self) -> list[str]:
        """What must occur in a name, a tag or the category, folded."""
        return list(dict.fromkeys(fold(self.q).split()))


class ListQuery(SearchQuery, frozen=True, kw_only=True):
    """The same for lists, which show everything, newest first, unless told otherwise."""

    online: bool = False
    sort: Sort = "date"
    limit: Limit = 1000


class FixedResults:
    """The ids of relevance searches in progress; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, list[int], int]] = OrderedDict()

    def keep(self, ns: list[int], total: int, monotonic: float) -> str:
        """Keeps a list; returns its name."""
        while self._kept and (len(self._kept) >= MAX_CURSORS or self._oldest() < monotonic - CURSOR_LIFE):
            self._kept.popitem(last=False)
        name = secrets.token_urlsafe(9)
        self._kept[name] = (monotonic, ns, total)
        return name

    def _oldest(self) -> float:
        return next(iter(self._kept.values()))[0]

    def find(self, name: str, monotonic: float) -> tuple[list[int], int]:
        """The ids and the total. Raises Gone after their time."""
        kept = self._kept.get(name)
        if kept is None or kept[0] < monotonic - CURSOR_LIFE:
            raise errors.Gone("cursor_expired", "The cursor is too old; begin the search again.")
        return kept[1], kept[2]
