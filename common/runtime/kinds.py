"""The kinds of value a setting may have: how each is read from what was written, and what to say when it cannot be.

Everything arrives as text, whether from a file, the environment or a flag, so `007` stays a name and `no` a region.
"""

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

from common.runtime.units import parse_duration, parse_rate, parse_size

Network = IPv4Network | IPv6Network

TEN_YEARS = 3650 * 86400.0
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class ConfigError(ValueError):
    """The configuration is wrong; the text is one line for whoever starts the daemon."""


class Written(NamedTuple):
    """What somebody wrote for a setting, and where."""

    value: str | list[str]
    where: str


class Kind(NamedTuple):
    """`read` turns one text into a value or raises ValueError; of `many`, each item is read and a tuple made."""

    expected: str
    read: Callable[[str], Any]
    many: bool = False
    secret: bool = False

    def value(self, key: str, written: Written) -> Any:
        """What `written` means for the setting `key`. Raises ConfigError with place, key, value and expectation."""
        try:
            return self._value(written.value)
        except (ValueError, OverflowError):
            told = "set to something else (not shown)" if self.secret else shown(written.value)
            raise ConfigError(f"{written.where}: {key} is {told}, expected {self.expected}") from None

    def _value(self, value: str | list[str]) -> Any:
        if self.many:
            items = [value] if isinstance(value, str) else value
            return tuple(self.read(item.strip()) for item in items if item.strip())
        if isinstance(value, list):
            raise ValueError("one value is expected")
        return self.read(value.strip())


def shown(value: object, limit: int = 80) -> str:
    """`value` quoted on one line, without anything that a terminal would act on."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def whole(low: int, high: int) -> Kind:
    """A whole number within bounds."""

    def read(digits: str) -> int:
        _require(digits.isascii() and digits.isdigit())
        _require(low <= int(digits) <= high)
        return int(digits)

    return Kind(f"a whole number from {low} to {high}", read)


def duration(at_least: float) -> Kind:
    """Seconds."""

    def read(written: str) -> float:
        seconds = parse_duration(written)
        _require(at_least <= seconds <= TEN_YEARS)
        return seconds

    return Kind(f"a duration such as 500ms, 30s, 5m or 24h, from {at_least:g} seconds to ten years", read)


def one_of(*words: str, **aliases: str) -> Kind:
    """One word of a list, in any case; an alias stands for a word."""
    meanings = {word: word for word in words} | aliases

    def read(word: str) -> str:
        _require(word.lower() in meanings)
        return meanings[word.lower()]

    return Kind(" or ".join(words), read)


def text(limit: int) -> Kind:
    """One line, which may be empty."""

    def read(line: str) -> str:
        _require(len(line) <= limit and line.isprintable())
        return line

    return Kind(f"one line of at most {limit} printable characters", read)


def list_of(kind: Kind, expected: str) -> Kind:
    """Any number of values of one kind."""
    return kind._replace(expected=expected, many=True)


def nothing_yet(expected: str) -> Kind:
    """A setting that must stay empty until what it is for is built."""

    def read(line: str) -> str:
        _require(line == "")
        return line

    return Kind(expected, read, secret=True)


def _require(fits: bool) -> None:
    if not fits:
        raise ValueError


def _read_switch(word: str) -> bool:
    _require(word.lower() in _SWITCH)
    return _SWITCH[word.lower()]


def _read_switch_or_auto(word: str) -> bool | None:
    return None if word.lower() in ("", "auto") else _read_switch(word)


def _read_host(name: str) -> str:
    """An IP address without brackets, or a name in lower case."""
    _require(name.isprintable() and " " not in name and len(name) <= 253)
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return str(ip_address(bare))
    except ValueError:
        labels = name.lower().split(".")
        _require(all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit())
        return name.lower()


def _read_address(address: str) -> str:
    host, _, port = address.rpartition(":")
    _require(":" not in host or host.startswith("["))
    host, number = _read_host(host), PORT_TO_DIAL.read(port)
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def _read_path(path: str) -> str:
    _require(path != "" and "\0" not in path)
    return os.path.expanduser(path)


def _read_path_or_nothing(path: str) -> str:
    return _read_path(path) if path else ""


PORT_TO_DIAL = whole(1, 65535)
PORT_TO_BIND = whole(0, 65535)._replace(expected="a port from 1 to 65535, or 0 for any that is free")
SWITCH = Kind("true or false", _read_switch)
SWITCH_OR_AUTO = Kind("true, false or auto", _read_switch_or_auto)
HOST = Kind("an IP address or a host name", _read_host)
HOSTS = list_of(HOST, "host names without scheme or port, such as files.example.org")
ADDRESS = Kind("HOST:PORT, such as localhost:8080 or [::1]:8080", _read_address)
NETWORKS = list_of(Kind("", ip_network), "networks such as 192.168.0.0/16 or fd00::/8")
SIZE = Kind("a size such as 100MB or 4GiB", parse_size)
RATE = Kind("a rate such as 500kB/s or 4MiB/s, or 0 for no limit", parse_rate)
PATH = Kind("the path of a folder", _read_path)
PATH_OR_NOTHING = Kind("the path of a folder, or nothing", _read_path_or_nothing)
PATHS = list_of(PATH, "paths of folders")
SCHEDULE = list_of(text(100), "lines such as Mon-Fri 08:00-18:00 1MB/s")
OUTPUT = Kind("stdout, stderr or the path of a file", _read_path)
