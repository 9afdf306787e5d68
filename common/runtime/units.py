"""Durations, sizes and rates as people write them, and back.

Durations are seconds, sizes bytes (MB = 10^6, MiB = 2^20), rates bytes per second. What the `format_` functions write
is rounded and can be read by the `parse_` functions, whose errors are ValueErrors that say what was expected.
"""

import math
import re

MAX_SIZE = 2**53

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY = {f"{prefix}i": 1024**power for power, prefix in enumerate(_DECIMAL, start=1)}
_BYTES: dict[str, int] = {"": 1} | _DECIMAL | _BINARY
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_TERM = re.compile(rf"({_NUMBER})\s*(ms|[smhdw])\s*", re.I)
_DURATION = re.compile(rf"(?:{_TERM.pattern})+", re.I)
_PLAIN = re.compile(_NUMBER)
_SIZE = re.compile(rf"({_NUMBER})\s*([kmgtp]i?|)b?", re.I)
_SHOWN_DURATIONS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(written: str | float) -> float:
    """Seconds from `30s`, `5m`, `24h`, `7d`, `500ms`, `1h30m`, or from a bare number of seconds."""
    text = _text(written)
    if _PLAIN.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise _unreadable(written, "a duration such as 500ms, 30s, 5m, 24h, 7d or 1h30m")
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in _TERM.findall(text))


def parse_size(written: str | float) -> int:
    """Bytes, at most 2^53, from `100MB`, `4GiB`, `1.5 G`, `10k`, or from a bare number of bytes."""
    match = _SIZE.fullmatch(_text(written))
    if match is None:
        raise _unreadable(written, "a size such as 4096, 10kB, 100MB or 4GiB")
    whole, _, fraction = match[1].partition(".")
    factor = _BYTES[match[2].lower()]
    if factor == 1 and fraction.strip("0"):
        raise _unreadable(written, "a whole number of bytes")
    size = int(whole) * factor + round(float(f"0.{fraction}") * factor)
    if size > MAX_SIZE:
        raise _unreadable(written, "a size of at most 8 PiB")
    return size


def parse_rate(written: str | float) -> int:
    """Bytes per second from `1MB/s`, `512KiB/s`, or from what a size may be."""
    text = _text(written)
    try:
        return parse_size(text[:-2] if text.lower().endswith("/s") else text)
    except ValueError:
        raise _unreadable(written, "a rate such as 500kB/s, 1MB/s or 4MiB/s") from None


def format_size(size: float) -> str:
    """`999 B`, `1.5 kB`, `12 MB`, `1.0 GB`: two digits at least, none that nobody reads."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def format_duration(seconds: float) -> str:
    """`250ms`, `1.5s`, `42s`, `3m 20s`, `2h`, `1d 4h`: the two largest units; `unknown` for what never ends."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms" if seconds > 0 else "0s"
    if seconds < 9.95:
        return f"{round(seconds, 1):g}s"
    return _two_largest(round(seconds))


def format_rate(bytes_per_second: float) -> str:
    """`1.5 MB/s`."""
    return f"{format_size(bytes_per_second)}/s"


def _two_largest(seconds: int) -> str:
    index = next(at for at, (_, length) in enumerate(_SHOWN_DURATIONS) if seconds >= length)
    terms = []
    for unit, length in _SHOWN_DURATIONS[index : index + 2]:
        number, seconds = divmod(seconds, length)
        terms += [f"{number}{unit}"] if number else []
    return " ".join(terms)


def _text(written: object) -> str:
    """What a person would have written for a number that a file's parser has already read."""
    if isinstance(written, float):
        return f"{written:.9f}"
    return "" if isinstance(written, bool) else str(written).strip()


def _unreadable(written: object, expected: str) -> ValueError:
    shown = repr(written)
    return ValueError(f"{shown if len(shown) <= 40 else shown[:37] + '...'} cannot be read: write {expected}")
