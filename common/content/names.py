"""Names and paths of files, as they cross from one machine to another.

`safe_name` makes one path component from outside fit for any disk and any page; applied twice it changes nothing more.
`display_path` is what a catalogue says of a path on this disk, `is_relative_path` what may be a path in a catalogue.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import count

MAX_NAME_BYTES = 200
MAX_PATH_CHARACTERS = 4096
# A name of 255 bytes, the longest that disks take, is this long when display_path writes every byte as `\xNN`.
MAX_COMPONENT_CHARACTERS = 255 * 4
FALLBACK_NAME = "file"

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_UNSEEN = frozenset(("Cc", "Cf", "Zl", "Zp"))
_ZWJ = "\u200d"
_PICTOGRAPH = r"[\u2190-\u2bff\U0001f000-\U0001faff]"
_ZWJ_IN_EMOJI = re.compile(rf"(?:(?<={_PICTOGRAPH})|(?<={_PICTOGRAPH}\ufe0f)){_ZWJ}(?={_PICTOGRAPH})")
_SPACES = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
_EDGES = "." + _SPACES + _ZWJ
_RESERVED = re.compile(rf"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³])[{_SPACES}]*(?:\.|$)", re.I)
_EXTENSION = re.compile(r"(?:\.tar)?\.[^.\s]{1,16}$", re.I)
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\udc80-\udcff]|\\(?=x[0-9a-f]{2})")


def safe_name(raw: str | bytes) -> str:
    """One path component, 1 to 200 bytes of UTF-8 in NFC, that no disk and no page takes for anything but a name.

    Bytes that are not UTF-8 appear as `%FF`; the extension survives a cut; what leaves nothing becomes `file`.
    """
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    text = unicodedata.normalize("NFC", _SURROGATE.sub(_percent, text))
    # Once more after the stripping: what stood between a letter and its accent is gone, so they may compose.
    text = unicodedata.normalize("NFC", _without_unseen(text))
    text = _cut(_FORBIDDEN.sub("_", text).strip(_EDGES))
    if _RESERVED.match(text):
        text = _cut("_" + text)
    return text or FALLBACK_NAME


def free_name(name: str, taken: Callable[[str], bool]) -> str:
    """`name` if it is free, else `stem (2).ext`, `stem (3).ext` and so on; safe when `name` is.

    `taken` should compare by `same_name_key`: many disks do not tell `A` from `a`.
    """
    if not taken(name):
        return name
    stem, extension = _split(name)
    numbered = (_fit(stem, f" ({number}){extension}") for number in count(2))
    return next(candidate for candidate in numbered if not taken(candidate))


def same_name_key(name: str) -> str:
    """Equal for two names that some disk holds to be one: differing in case or in Unicode composition only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def display_path(relative: bytes) -> str:
    r"""The text, in NFC, that stands for a path on disk (`os.fsencode` form, `/`-separated) in a catalogue.

    Bytes that are not UTF-8 and those of control characters are written `\xNN`; a backslash that would read as the
    beginning of such an escape is written `\x5c`. Two paths have one text only when they differ in composition alone.
    """
    text = relative.decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", _NOT_SHOWN.sub(_backslash, text))


def is_relative_path(text: str) -> bool:
    """True for what may be a path in a catalogue: relative, no way up, no empty part, encodable, bounded."""
    if len(text) > MAX_PATH_CHARACTERS or "\0" in text or _SURROGATE.search(text):
        return False
    return all(part not in ("", ".", "..") and len(part) <= MAX_COMPONENT_CHARACTERS for part in text.split("/"))


def _percent(surrogate: re.Match[str]) -> str:
    """`%FF` for a byte that could not be decoded, the three bytes of any other lone surrogate likewise."""
    code = surrogate[0]
    raw = code.encode("utf-8", "surrogateescape" if "\udc80" <= code <= "\udcff" else "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in raw)


def _backslash(unshown: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in unshown[0].encode("utf-8", "surrogateescape"))


def _without_unseen(text: str) -> str:
    """Drops controls, format characters (so all of bidi), line separators and noncharacters; keeps ZWJ inside emoji."""
    joined = {match.start() for match in _ZWJ_IN_EMOJI.finditer(text)} if _ZWJ in text else ()
    return "".join(char for at, char in enumerate(text) if at in joined or not _is_unseen(char))


def _is_unseen(char: str) -> bool:
    code = ord(char)
    return unicodedata.category(char) in _UNSEEN or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _split(name: str) -> tuple[str, str]:
    """(stem, extension with its dot): `.tar.gz` is one; none when it would be long or leave no stem."""
    match = _EXTENSION.search(name)
    at = match.start() if match and match.start() else len(name)
    return name[:at], name[at:]


def _cut(name: str) -> str:
    return _fit(*_split(name))


def _fit(stem: str, ending: str) -> str:
    room = MAX_NAME_BYTES - len(ending.encode())
    whole = stem.encode()
    return (stem if len(whole) <= room else whole[:room].decode("utf-8", "ignore").rstrip(_EDGES)) + ending
