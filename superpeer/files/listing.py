"""What one audience is shown of one file, worked out from the entries that it may see. Pure.

A listing has the name that was announced first, all other names and all tags beside it, and counts each peer once.
Where peers name different sizes for one content, most peers decide and the others do not count as sources.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

MAX_NAMES = 64
MAX_TAGS = 64


def fold(text: str) -> str:
    """Text as it is searched and sorted: without case and without marks over letters."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)) if not text.isascii() else text.lower()


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
    names = list(dict.fromkeys(entry.name for entry in entries))
    tags: dict[str, None] = {}
    for entry in entries:
        if entry.tags != "[]":
            tags.update(dict.fromkeys(json.loads(entry.tags)))
    return {
        "file_n": first.file_n,
        "audience": first.audience,
        "name": first.name,
        "sort_name": fold(first.name),
        "names": json.dumps(names[1 : MAX_NAMES + 1], ensure_ascii=False),
        "extension": extension_of(first.name),
        "category": first.category,
        "tags": json.dumps(list(tags)[:MAX_TAGS], ensure_ascii=False),
        "mime": first.mime,
        "manifest": next((entry.manifest for entry in entries if entry.manifest), None),
        "size": size,
        "modified": first.modified,
        "upload_time": first.announced_at,
        "downloads": first.downloads,
        "owner_n": first.peer_n,
        "sources": len({entry.peer_n for entry in entries}),
        "online_sources": len({entry.peer_n for entry in entries if entry.online}),
    }


def _agreed_size(entries: list[Any]) -> int:
    claims = {(entry.peer_n, entry.size) for entry in entries}
    if len(claims) == 1:
        return int(entries[0].size)
    votes = Counter(size for _, size in claims)
    return int(max((entry.size for entry in entries), key=lambda size: votes[size]))


def searchable(name: str, names: str, tags: str, category: str) -> str:
    """The text under which a listing is found: its names, tags and category, a line each (JSON arrays as stored)."""
    return fold("\n".join([name, *json.loads(names), *json.loads(tags), category]))
