"""What kind of file a name stands for: its category, media type and tags.

Judged by the last component of a path, without regard to case; nothing is opened, no table of the system is read.
"""

import re
import unicodedata

from common.content.media_types import MEDIA_TYPES, WELL_KNOWN_NAMES

UNKNOWN_MIME = "application/octet-stream"
OTHER = "other"

_MIME_BY_EXTENSION = {
    extension: mime for kinds in MEDIA_TYPES.values() for mime, listed in kinds.items() for extension in listed.split()
}
_MIME_BY_NAME = {name: mime for mime, listed in WELL_KNOWN_NAMES.items() for name in listed.split()}
_CATEGORY_BY_MIME = {mime: category for category, kinds in MEDIA_TYPES.items() for mime in kinds}
_CATEGORY_BY_FAMILY = {"image": "image", "video": "video", "audio": "audio", "text": "document"}
_WORDS_BY_TAG = {
    "music": {"music", "song", "songs"},
    "video": {"video", "videos", "movie", "movies"},
    "photo": {"photo", "photos", "image", "images"},
    "document": {"document", "documents", "doc", "docs"},
}
_LETTERS = re.compile(r"[^\W\d_]+")
_CAMEL_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def extension_of(name: str) -> str:
    """The extension in lower case without its dot; empty when there is none (`.profile` has none)."""
    stem, dot, extension = _basename(name).rpartition(".")
    return extension if dot and stem.strip(".") else ""


def mime_of(name: str) -> str:
    """The media type that the name promises, `application/octet-stream` when it promises none."""
    by_name = _MIME_BY_NAME.get(_basename(name))
    return by_name or _MIME_BY_EXTENSION.get(extension_of(name), UNKNOWN_MIME)


def category_of(name: str, mime: str | None = None) -> str:
    """One of CATEGORIES in common.wire.files: by the name, by `mime` where the name says nothing, else `other`."""
    by_name = _CATEGORY_BY_MIME.get(mime_of(name))
    return by_name or (_category_of_mime(mime) if mime else OTHER)


def tags_of(name: str) -> list[str]:
    """Tags for the words of the last component: `Holiday_Photos2024.zip`, `MyPhoto.png` → `photo`. Never two alike."""
    composed = unicodedata.normalize("NFC", name.rpartition("/")[2])
    words = {word.lower() for run in _LETTERS.findall(composed) for word in _CAMEL_HUMP.split(run)}
    return [tag for tag, meant in _WORDS_BY_TAG.items() if not meant.isdisjoint(words)]


def _basename(name: str) -> str:
    return name.rpartition("/")[2].lower()


def _category_of_mime(mime: str) -> str:
    essence = mime.partition(";")[0].strip().lower()
    return _CATEGORY_BY_MIME.get(essence) or _CATEGORY_BY_FAMILY.get(essence.partition("/")[0], OTHER)
