"""Events on `/ws`, one JSON object a text frame: `{type, data, timestamp}`.

The server speaks first. A listener may send `{type: "subscribe", data: {topics}}` to hear of some topics only; a
listener too slow to read misses events and is then told the state anew; what it sends that nobody knows gets an
`error` event.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

Topic = Literal["peers", "files", "stats", "transfers"]
TOPICS: tuple[Topic, ...] = ("peers", "files", "stats", "transfers")
MAX_FRAME = 1024 * 1024


class Event(Struct, frozen=True):
    """What happened, when."""

    type: str
    data: Any
    timestamp: datetime


class Subscription(Struct, frozen=True):
    """The topics that a listener wants; all when it never says."""

    topics: list[Topic] = field(default_factory=list)


class EventError(Struct, frozen=True):
    """Event data: what was sent cannot be understood."""

    code: str
    detail: str
