"""Records become lines that nothing can forge, and an output that fails costs records, never the daemon."""

import contextlib
import fcntl
import io
import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.runtime.config import LoggingSettings
from common.runtime.logs import ConsoleFormatter, JsonFormatter, LogOutput, configure_logging, request_id
from common.runtime.settings import ConfigError

PROJECT = Path(__file__).parents[3]
log = logging.getLogger("shoal.test")


@pytest.fixture(autouse=True)
def as_before():
    root, shoal = logging.getLogger(), logging.getLogger("shoal")
    levels = root.level, shoal.level
    yield
    for output in [handler for handler in root.handlers if isinstance(handler, LogOutput)]:
        root.removeHandler(output)
        output.close()
    root.setLevel(levels[0])
    shoal.setLevel(levels[1])


@pytest.fixture
def pipe():
    """(read, write): as small as a pipe can be."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):
            os.close(fd)


def written(path):
    """What is in the log at `path`, one object a line."""
    return [json.loads(line) for line in Path(path).read_text("ascii").splitlines()]


def to_file(path, level="info", form="json"):
    return configure_logging(LoggingSettings(level=level, format=form, output=str(path)))


def record(message="hello", args=(), **fields):
    return logging.makeLogRecord(
        {"name": "shoal.test", "levelname": "INFO", "created": 0.25, "msg": message, "args": args} | fields
    )


def as_json(message="hello", args=(), **fields):
    return json.loads(JsonFormatter().format(record(message, args, **fields)))


# What a record looks like


def test_a_record_is_one_object_with_its_extra_fields(tmp_path):
    to_file(tmp_path / "log")
    log.info("file %s shared", "a.txt", extra={"size": 5, "tags": ["x"], "peer": None, "ratio": 0.5})
    (entry,) = written(tmp_path / "log")
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info",
        "logger": "shoal.test",
        "message": "file a.txt shared",
        "size": 5,
        "tags": ["x"],
        "peer": None,
        "ratio": 0.5,
    }


def test_the_time_is_rfc_3339_in_utc():
    assert as_json(created=1_700_000_000.5)["time"] == "2023-11-14T22:13:20.500Z"
    assert as_json(created=0.0)["time"] == "1970-01-01T00:00:00.000Z"


def test_the_console_line_is_for_reading():
    line = ConsoleFormatter().format(record("file shared", size=5, name_given="a b.txt", word="plain", empty=""))
    assert line == (
        "1970-01-01T00:00:00.250Z INFO    shoal.test: file shared size=5 name_given='a b.txt' word=plain empty=''"
    )


def test_the_request_id_is_in_every_record_of_its_request():
    token = request_id.set("r-1")
    try:
        assert as_json()["request_id"] == "r-1"
        assert " request_id=r-1" in ConsoleFormatter().format(record())
    finally:
        request_id.reset(token)
    assert "request_id" not in as_json()


def test_an_extra_field_cannot_pass_for_a_standard_one():
    entry = as_json(time="never", level="debug", logger="root", size=1)
    assert (entry["time"], entry["level"], entry["logger"], entry["size"]) == (
        "1970-01-01T00:00:00.250Z",
        "info",
        "shoal.test",
        1,
    )


def test_long_texts_are_cut_wherever_they_stand():
    long = "x" * 10_000
    entry = as_json(long, path=long, names=[long], by_name={long: long})
    for text in (entry["message"], entry["path"], entry["names"][0], *next(iter(entry["by_name"].items()))):
        assert len(text) == 512 and text.endswith("…")
    assert len(ConsoleFormatter().format(record(long))) < 600


def test_large_and_deep_values_are_cut():
    deep: list = []
    deep.append(deep)
    entry = as_json(many=list(range(1000)), deep=deep, huge=10**5000, endless=float("inf"), nothing=float("nan"))
    assert entry["many"] == list(range(64))
    assert (entry["endless"], entry["nothing"]) == ("inf", "nan")
    assert len(json.dumps(entry)) < 2000


def test_what_cannot_be_shown_does_not_lose_the_record():
    class Silent:
        def __str__(self):
            raise RuntimeError("no")

    assert as_json(thing=Silent(), raw=b"\xff")["thing"] == "unprintable Silent"
    assert "arguments that do not fit" in as_json("%d files", ("many",), filename="x.py", lineno=3)["message"]
    assert as_json(Silent())["message"].startswith("unprintable Silent")


def trace_of(error):
    try:
        raise error
    except type(error):
        return sys.exc_info()


def test_an_exception_is_told_in_one_json_field():
    entry = as_json(exc_info=trace_of(ValueError("bad\nnews")))
    assert entry["exception"].startswith("Traceback") and entry["exception"].endswith("ValueError: bad\nnews")
    assert "exception" not in as_json(exc_info=(None, None, None))


def test_an_exception_on_the_console_is_indented_so_that_it_cannot_forge_a_record():
    forged = "x\n1970-01-01T00:00:00.000Z INFO    shoal.peers: all is well\x1b[2J"
    first, *rest = ConsoleFormatter().format(record(exc_info=trace_of(ValueError(forged)))).split("\n")
    assert first.endswith("shoal.test: hello")
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_long_exception_keeps_both_ends():
    trace = as_json(exc_info=trace_of(ValueError("x" * 100_000 + "the end")))["exception"]
    assert len(trace) == 8192
    assert trace.startswith("Traceback") and trace.endswith("the end")


HOSTILE = 'a\r\n{"level":"error"}\x1b]0;title\x07\x00\x7f\x9b\u2028\u202e\ud800é'


@pytest.mark.parametrize("form", ["json", "console"])
def test_one_hostile_record_is_one_line_without_controls(tmp_path, form):
    output = to_file(tmp_path / "log", form=form)
    log.info(HOSTILE, extra={"name_given": HOSTILE, "nested": {HOSTILE: [HOSTILE]}})
    raw = (tmp_path / "log").read_bytes()
    assert output.dropped == 0
    assert raw.endswith(b"\n") and raw[:-1].decode().isprintable()
    if form == "json":
        assert json.loads(raw)["name_given"] == HOSTILE


@given(st.text(), st.recursive(st.text() | st.integers() | st.floats() | st.binary(), st.lists))
def test_any_record_is_one_printable_line_in_both_forms(message, value):
    line = JsonFormatter().format(record(message, value=value))
    assert line.isascii() and line.isprintable()
    assert isinstance(json.loads(line), dict)
    assert ConsoleFormatter().format(record(message, value=value)).isprintable()


# Who is heard


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_decides_what_is_told(tmp_path, level, heard):
    to_file(tmp_path / "log", level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(name)
    assert [entry["message"] for entry in written(tmp_path / "log")] == heard


def test_other_libraries_are_heard_from_warnings_upwards(tmp_path):
    to_file(tmp_path / "log", level="debug")
    other = logging.getLogger("some.library")
    other.info("chatter")
    other.warning("trouble")
    assert [entry["message"] for entry in written(tmp_path / "log")] == ["trouble"]


def test_configuring_again_takes_the_place_of_what_was(tmp_path):
    first = to_file(tmp_path / "first")
    to_file(tmp_path / "second")
    log.info("hello")
    assert written(tmp_path / "first") == []
    assert len(written(tmp_path / "second")) == 1
    first.handle(record())
    assert first.dropped == 1, "closed"


# Where it goes


def test_a_file_is_made_for_its_owner_alone_with_its_folder_and_appended_to(tmp_path):
    path = tmp_path / "new" / "log"
    to_file(path)
    log.info("first")
    to_file(path)
    log.info("second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry["message"] for entry in written(path)] == ["first", "second"]


def test_an_output_that_cannot_be_opened_is_a_configuration_error(tmp_path):
    os.mkfifo(tmp_path / "unread")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "unread", tmp_path / "file" / "log"):
        with pytest.raises(ConfigError, match="expected stdout, stderr or a file that can be written") as caught:
            to_file(path)
        assert str(caught.value).startswith(f"logging.output is {str(path)!r}"[:80])


CONFIGURED = (
    "import logging, sys; from common.runtime.config import LoggingSettings;"
    "from common.runtime.logs import configure_logging;"
    "output = configure_logging(LoggingSettings());"
    "log = logging.getLogger('shoal.test');"
)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT)}


def daemon(script, **options):
    """Another Python that has configured its logging as `output` and then runs `script`."""
    command = [sys.executable, "-c", CONFIGURED + script]
    return subprocess.run(command, env=ENVIRONMENT, timeout=60, check=False, **options)


def test_standard_output_is_the_usual_place():
    ended = daemon("log.info('hello')", capture_output=True)
    assert (ended.returncode, json.loads(ended.stdout)["message"], ended.stderr) == (0, "hello", b"")


def test_a_daemon_whose_reader_is_gone_runs_on_and_ends_well():
    read, write = os.pipe()
    os.close(read)
    ended = daemon("log.info('a'); log.info('b'); sys.exit(output.dropped)", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (2, b"")


def test_a_daemon_started_without_output_does_not_write_into_what_took_its_place(tmp_path):
    path = tmp_path / "database"
    script = (
        f"import os; taken = os.open({str(path)!r}, os.O_CREAT | os.O_RDWR); assert taken == 1;"
        + CONFIGURED
        + "log.info('hello'); sys.exit(output.dropped)"
    )
    ended = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, script], env=ENVIRONMENT, timeout=60, check=False
    )
    assert (ended.returncode, path.read_bytes()) == (1, b"")


def test_a_full_disk_costs_records_and_nothing_else():
    output = to_file("/dev/full")
    log.info("one")
    log.info("two")
    assert output.dropped == 2


def test_a_reader_that_stops_reading_holds_nobody_up_and_gets_whole_lines_when_it_reads_again(pipe):
    read, write = pipe
    output = configure_logging(LoggingSettings(), fd=write)
    for number in range(100):
        log.info("%s %d", "x" * 100, number)
    assert 0 < output.dropped < 100
    first = os.read(read, 65536).splitlines()
    assert len(first) == 100 - output.dropped
    log.info("back")
    assert json.loads(os.read(read, 65536))["message"] == "back"
    assert all(json.loads(line) for line in first)


def test_a_line_that_was_torn_does_not_spoil_the_next(pipe):
    read, write = pipe
    output = configure_logging(LoggingSettings(), fd=write)
    log.info("torn", extra={"fields": ["x" * 500] * 20})
    assert output.dropped == 1
    torn = os.read(read, 65536)
    assert len(torn) == 4096
    log.info("whole")
    nothing, whole = os.read(read, 65536).splitlines()
    assert nothing == b"" and json.loads(whole)["message"] == "whole"


def test_errors_of_logging_itself_are_not_printed(monkeypatch):
    noise = io.StringIO()
    monkeypatch.setattr(sys, "stderr", noise)
    output = to_file("/dev/full")
    output.handle(record("hello %d", ("x",), exc_info=trace_of(ValueError("y"))))
    assert (output.dropped, noise.getvalue()) == (1, "")


# Rotation


def test_a_log_that_is_moved_away_is_begun_anew(tmp_path):
    path = tmp_path / "log"
    to_file(path)
    log.info("before")
    path.rename(tmp_path / "log.1")
    log.info("after")
    log.info("and on")
    assert [entry["message"] for entry in written(tmp_path / "log.1")] == ["before"]
    assert [entry["message"] for entry in written(path)] == ["after", "and on"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_the_new_log_cannot_be_begun_the_old_one_goes_on(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    output = to_file(folder / "log")
    folder.rename(tmp_path / "moved")
    folder.write_text("in the way")
    log.info("still told")
    assert [entry["message"] for entry in written(tmp_path / "moved" / "log")] == ["still told"]
    assert output.dropped == 0
