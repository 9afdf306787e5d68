"""Logging of a daemon, as JSON lines or for a person's eyes, to a descriptor or to a file.

Guarantees: nothing in a record can pass for another record or reach a terminal as a control sequence; whatever happens
to the output (a closed pipe, a full disk, a reader that has stopped reading), nothing is raised and the daemon goes on.
What could not be written is counted in `LogOutput.dropped`. A file that is moved away, as rotation does, is begun anew.
"""

import errno
import json
import logging
import math
import os
import select
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from common.runtime.config import LoggingSettings
from common.runtime.kinds import ConfigError, shown

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

LONGEST_FIELD = 512  # characters
LONGEST_TRACE = 8192
MOST_ITEMS = 64
DEEPEST = 4
PATIENCE = 50  # milliseconds to wait for a slow reader, once

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure_logging(settings: LoggingSettings, fd: int | None = None) -> "LogOutput":
    """Sends all logging to `settings.output`, or to the descriptor `fd`, in place of what was configured before.

    Other libraries are heard from warnings upwards. Raises ConfigError when the output cannot be opened.
    """
    formatter = JsonFormatter() if settings.format == "json" else ConsoleFormatter()
    path = settings.output if fd is None and settings.output not in ("stdout", "stderr") else None
    output = LogOutput(_opened(settings.output) if fd is None else os.dup(fd), formatter, path)
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, LogOutput)]:
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(output)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("shoal").setLevel(level)
    return output


def _opened(output: str) -> int | None:
    if output in ("stdout", "stderr"):
        stream = sys.__stdout__ if output == "stdout" else sys.__stderr__
        # A daemon started with the descriptor closed has no stream, and the number may by now be something else.
        return None if stream is None else os.dup({"stdout": 1, "stderr": 2}[output])
    try:
        os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
        # Not blocking: a FIFO that nobody reads is an error here, and not the end of all progress.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(output, flags, 0o600)
    except OSError as error:
        problem = f"expected stdout, stderr or a file that can be written: {error.strerror}"
        raise ConfigError(f"logging.output is {shown(output)}, {problem}") from None


class LogOutput(logging.Handler):
    """Writes lines to a descriptor, which it owns; None is nowhere. `path` is that of a file."""

    def __init__(self, fd: int | None, formatter: logging.Formatter, path: str | None = None) -> None:
        super().__init__()
        self.dropped = 0
        self._path = path
        self.setFormatter(formatter)
        self._fd = fd
        self._waits = fd is not None and not stat.S_ISREG(os.fstat(fd).st_mode)
        self._patience = PATIENCE
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:
            self.dropped += 1

    def close(self) -> None:
        self.acquire()
        try:
            fd, self._fd = self._fd, None
            if fd is not None:
                os.close(fd)
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        self._follow()
        if self._fd is None:
            raise OSError(errno.EBADF, "no output")
        rest = b"\n" + line if self._torn else line
        while rest:
            self._await_reader(self._fd)
            written = os.write(self._fd, rest[: select.PIPE_BUF] if self._waits else rest)
            rest = rest[written:]
            self._torn = bool(rest)

    def _follow(self) -> None:
        """Opens the path again once something else, or nothing, stands there."""
        if self._path is None or self._fd is None:
            return
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                return
        except OSError:
            pass  # nothing stands there
        with suppress(OSError, ConfigError):  # what is open is better than nothing
            fd = _opened(self._path)
            os.close(self._fd)
            self._fd, self._torn = fd, False

    def _await_reader(self, fd: int) -> None:
        """A pipe that poll calls writable takes PIPE_BUF bytes without blocking."""
        if not self._waits:
            return
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        writable = poll.poll(self._patience)
        self._patience = PATIENCE if writable else 0
        if not writable:
            raise BlockingIOError(errno.EAGAIN, "the reader of the log has stopped reading")


class JsonFormatter(logging.Formatter):
    """One object: time, level, logger, message, request_id, what was given as `extra`, exception. Pure ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(_message(record)),
        }
        if trace := _trace(record):
            fields["exception"] = trace
        return json.dumps(fields | _extra(record) | fields, separators=(",", ":"))


class ConsoleFormatter(logging.Formatter):
    """Time, level, logger, message and `extra` as key=value; an exception on indented lines below."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname:<7} {record.name}: {_printable(_cut(_message(record)))}"
        pairs = [f"{key}={_bare_or_quoted(value)}" for key, value in _extra(record).items()]
        trace = [f"    {_printable(line)}" for line in _trace(record).splitlines()]
        return "\n".join([" ".join([head, *pairs]), *trace])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{_text(record.msg)} (arguments that do not fit, at {record.filename}:{record.lineno})"


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    extra = {key: _plain(value) for key, value in record.__dict__.items() if key not in _STANDARD}
    this_request = request_id.get()
    return extra if this_request is None else {"request_id": _cut(this_request)} | extra


def _plain(value: object, depth: int = 0) -> Any:
    """`value` as JSON has it, bounded in every direction."""
    if value is None or isinstance(value, bool):
        return value
    if (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if depth < DEEPEST and isinstance(value, Mapping):
        some = list(value.items())[:MOST_ITEMS]
        return {_text(key): _plain(item, depth + 1) for key, item in some}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in list(value)[:MOST_ITEMS]]
    return _text(value)


def _text(value: object) -> str:
    try:
        return _cut(str(value))
    except Exception:
        return f"unprintable {type(value).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - 1] + "…"


def _trace(record: logging.LogRecord) -> str:
    """The traceback, of which both ends tell most: where it began and what it said."""
    parts = []
    if record.exc_info and record.exc_info[1] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    text = "\n".join(parts)
    half = LONGEST_TRACE // 2
    return text if len(text) <= LONGEST_TRACE else f"{text[: half - 1]}…{text[-half:]}"


def _printable(text: str) -> str:
    """Without line ends, escape sequences and marks that turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _bare_or_quoted(value: object) -> str:
    bare = isinstance(value, str) and value.isprintable() and value != "" and not set(value) & set(" '\"=")
    return str(value) if bare else repr(value)
