"""What one audience is shown of one file, worked out from the entries that it may see. Pure.

A listing has the name that was announced first, all other names and all tags beside it, and counts each peer once.
Where peers name different sizes for one content, most decide and the others do not count as sources. Identities cost
nothing, so what counts is first from how many addresses a size is named, then by how many peers with a key, then which
was named first.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any

import msgspec

MAX_NAMES = 64
MAX_TAGS = 64


def fold(text: str) -> str:
    """Text as it is searched and sorted: without case and without marks over letters. Folds each part as the whole."""
    if text.isascii():
        return text.lower()
    # Decomposing brings out capitals (`™` is TM) and folding case brings out marks (`ǰ`): twice, then nothing is left.
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in text if not unicodedata.combining(c))


def extension_of(name: str) -> str:
    """The last extension in lower case without its dot; empty when there is none of a sensible length."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem and 0 < len(extension) <= 16 else ""


def groups(rows: Iterable[Any]) -> dict[tuple[int, str], list[Any]]:
    """Entries by (file, audience), each group in the order of announcement."""
    found: dict[tuple[int, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row.file_n, row.audience), []).append(row)
    return found


def listing(entries: list[Any]) -> dict[str, Any]:
    """The listing's columns from the entries of one file and one audience, oldest first."""
    size = _agreed_size(entries)
    entries = [entry for entry in entries if entry.size == size]
    first = entries[0]
    names = list(dict.fromkeys(entry.name for entry in entries))[: MAX_NAMES + 1]
    tags: dict[str, None] = {}
    for entry in entries:
        if entry.tags != "[]":
            tags.update(dict.fromkeys(words_of(entry.tags)))
    shown_tags = list(tags)[:MAX_TAGS]
    online = {entry.peer_n for entry in entries if entry.online}
    return {
        "file_n": first.file_n,
        "audience": first.audience,
        "name": first.name,
        "sort_name": fold(first.name),
        "names": stored(names[1:]),
        "extension": extension_of(first.name),
        "category": first.category,
        "tags": stored(shown_tags),
        "mime": first.mime,
        "manifest": next((entry.manifest for entry in entries if entry.manifest), None),
        "size": size,
        "modified": first.modified,
        "upload_time": first.announced_at,
        "downloads": first.downloads,
        "owner_n": first.peer_n,
        "sources": len({entry.peer_n for entry in entries}),
        "online_sources": len(online),
        "source_n": min(online, default=None),
        "text": searchable(names, shown_tags, first.category),
    }


def extended(old: dict[str, Any], came: list[dict[str, Any]], *, newcomer: bool, online: bool) -> dict[str, Any]:
    """The listing's columns after entries of one peer came to those it was made of, all agreeing about the size.

    `newcomer`: the peer was no source before. What `listing` makes of all entries, without looking at all.
    """
    names = dict.fromkeys([old["name"], *words_of(old["names"]), *(row["name"] for row in came)])
    tags = dict.fromkeys([*words_of(old["tags"]), *(tag for row in came for tag in words_of(row["tags"]))])
    shown_names, shown_tags = list(names)[: MAX_NAMES + 1], list(tags)[:MAX_TAGS]
    online_ns = {old["source_n"], came[0]["peer_n"] if online else None} - {None}
    return {column: value for column, value in old.items() if column != "n"} | {
        "names": stored(shown_names[1:]),
        "tags": stored(shown_tags),
        "manifest": old["manifest"] or next((row["manifest"] for row in came if row["manifest"]), None),
        "sources": old["sources"] + newcomer,
        "online_sources": old["online_sources"] + (newcomer and online),
        "source_n": min(online_ns, default=None),
        "text": searchable(shown_names, shown_tags, old["category"]),
    }


def stored(words: list[str]) -> str:
    """Strings as one column holds them: a JSON array. Mostly there are none."""
    return msgspec.json.encode(words).decode() if words else "[]"


def words_of(text: str) -> list[str]:
    """The strings that a column holds."""
    return msgspec.json.decode(text, type=list[str]) if text != "[]" else []


def _agreed_size(entries: list[Any]) -> int:
    voices: dict[int, tuple[set[str], set[int]]] = {}
    for entry in entries:
        addresses, keyed = voices.setdefault(entry.size, (set(), set()))
        addresses.add(entry.registered_from)
        if entry.keyed:
            keyed.add(entry.peer_n)
    return int(max(voices, key=lambda size: (len(voices[size][0]), len(voices[size][1]))))  # the first of equals


def searchable(names: Iterable[str], tags: Iterable[str], category: str) -> str:
    """The text under which a listing is found: its names, its tags with a `#` before each and its category, a line
    each."""
    lines = [" ".join(name.split("\n")) for name in names]
    return fold("\n".join([*lines, *(f"#{tag}" for tag in tags), category]))


def tag_line(tag: str) -> str:
    """What a listing's text holds exactly when it has this tag."""
    return f"\n#{fold(tidy(tag))}\n"


def tidy(tag: str) -> str:
    """A tag without needless space."""
    return " ".join(tag.split())
