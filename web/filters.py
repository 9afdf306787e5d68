"""How values look on a page. Pure functions: the current time is an argument.

`plain` passes over everything that a template prints: no control character, lone surrogate or direction override from
outside reaches a browser. Imported with the first page only, because markupsafe comes with it.
"""

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

CATEGORIES = ("document", "image", "video", "audio", "archive", "code", "other")
HUES = 8
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def plain(value: Any) -> Any:
    """Text with what could deceive or break a page shown as U+FFFD; anything but text as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNPRINTABLE.sub("\ufffd", value)
    return value


def size(number: int) -> str:
    """Bytes for a reader, decimal as in the configuration: `1.5 MB`."""
    if number < 1000:
        return f"{number}\u00a0B"
    value, unit = number / 1000, 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.1f}".removesuffix(".0") + f"\u00a0{_UNITS[unit]}"


def count(number: int) -> str:
    """A number with separated thousands."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,}\u00a0{noun}{'' if number == 1 else 's'}"


def stamp(moment: datetime) -> str:
    """A moment in full: `21 Nov 2025, 06:03 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, roughly; the date when more than 30 days. Slightly wrong clocks give `just now`."""
    seconds = (now - moment).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f}\u00a0min ago"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f}\u00a0h ago"
    if seconds < 30 * _DAY:
        return f"{plural(int(seconds // _DAY), 'day')} ago"
    return stamp(moment).partition(",")[0]


def time(moment: datetime | None, now: datetime) -> str:
    """A `<time>` element that says how long ago and carries the moment in full; `never` for None."""
    if moment is None:
        return "never"
    machine = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    element = Markup('<time datetime="{}" title="{}">{}</time>')
    return element.format(machine, stamp(moment), ago(moment, now))


def ticks(text: str) -> str:
    """Text in which what stands between backticks is code."""
    pieces = enumerate(str(plain(text)).split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(piece) if number % 2 else piece for number, piece in pieces)


def known_category(name: str) -> str:
    """The category's name if it has an icon and a colour, else `other`."""
    return name if name in CATEGORIES else "other"


def hue(peer_id: str) -> int:
    """The colour, 0 to 7, that a peer's fish has on every page; live.js counts the same."""
    return sum(map(ord, peer_id)) % HUES


def short(identifier: str) -> str:
    """The first 12 characters of a long id."""
    return identifier if len(identifier) <= 16 else identifier[:12] + "…"


def shell(text: str) -> str:
    """One word of a command line that is safe to paste."""
    return shlex.quote(plain(text))


def endpoint(address: str, port: int) -> str:
    """`address:port`, with brackets around IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def url_text(value: str | Mapping[str, str]) -> str:
    """A piece of a path, or a query; unlike jinja2's own it survives lone surrogates."""
    if isinstance(value, str):
        return quote(value, safe="", errors="replace")
    return urlencode(value, errors="replace")


def web_address(url: str) -> bool:
    """True for an address that a page may link to."""
    return url.startswith(("http://", "https://"))


FILTERS = {
    "ago": ago,
    "count": count,
    "endpoint": endpoint,
    "hue": hue,
    "known_category": known_category,
    "plural": plural,
    "shell": shell,
    "short": short,
    "size": size,
    "stamp": stamp,
    "ticks": ticks,
    "time": time,
    "urlencode": url_text,
}
TESTS = {"web_address": web_address}
