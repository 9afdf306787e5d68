import os
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.names import (
    MAX_NAME_BYTES,
    display_path,
    free_name,
    is_relative_path,
    safe_name,
    same_name_key,
)

# Characters for which rules exist, so that they meet each other often; then anything at all, lone surrogates included.
PITFALLS = [
    *'ab.. /\\:*?"<>|$%_-\0\n\x7f\x85',
    *"\u00ad\u200b\u200d\u200e\u202e\u2066\u2028\ufeff\ufe0f\ufffe\ufdd0",
    *"e\u0301\u0338<\u2329\u2adc\u0958\u212b\u1fef\u2190\u3000\u00a0",
    *"\U0001f468\U0001f469\U0001f3fd\u2764\U0001f600",
    *"\udc80\udcff\ud800\udfff",
    *["con", "NUL", "com1", "LPT³", "COM¹", ".tar", ".gz", ".txt", "\u200d", "x" * 190, "é" * 99, "😀" * 50, " " * 200],
]
awkward = st.lists(st.sampled_from(PITFALLS) | st.characters(codec=None), max_size=30).map("".join)
raw_names = awkward | st.text(st.characters(codec=None)) | st.binary(max_size=300)
FORBIDDEN = set('/\\:*?"<>|')
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


@given(raw_names)
def test_a_safe_name_is_fit_for_any_disk_and_page(raw: str | bytes) -> None:
    name = safe_name(raw)
    assert 1 <= len(name.encode("utf-8")) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", name)
    assert not FORBIDDEN & set(name)
    assert not [char for char in name if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert {char for char in name if unicodedata.category(char) == "Cf"} <= {"\u200d"}
    assert name == name.strip(". \u00a0\u3000\u200d")
    assert name.split(".")[0].rstrip().casefold() not in RESERVED


@given(raw_names)
def test_making_a_name_safe_twice_changes_nothing_more(raw: str | bytes) -> None:
    name = safe_name(raw)
    assert safe_name(name) == name
    assert safe_name(name.encode()) == name


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_ ()äß漢", min_size=1, max_size=40).map(str.strip).filter(bool))
def test_an_ordinary_name_is_left_alone(stem: str) -> None:
    assert safe_name(f"_{stem}.txt") == f"_{stem}.txt"


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("", "file"),
        (b"", "file"),
        ("...", "file"),
        (" . . ", "file"),
        ("\u202e\u200b", "file"),
        ("../../.ssh/authorized_keys", "_.._.ssh_authorized_keys"),
        ("C:\\Windows\\x.dll", "C__Windows_x.dll"),
        ('a<b>c"d|e?f*g', "a_b_c_d_e_f_g"),
        ("file.txt:stream", "file.txt_stream"),
        ("nul\0l.txt", "null.txt"),
        ("line\r\nbreak\u2028.txt", "linebreak.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        (".bashrc", "bashrc"),
        (" name. ", "name"),
        ("name\u3000", "name"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("e\u200b\u0301.txt", "\u00e9.txt"),
        (b"caf\xe9.txt", "caf%E9.txt"),
        (os.fsdecode(b"caf\xe9.txt"), "caf%E9.txt"),
        ("high\ud83d", "high%ED%A0%BD"),
        (b"\xc3\xa9\x80\xff", "é%80%FF"),
        ("\ufdcf\ufdd0\ufdef\ufdf0", "\ufdcf\ufdf0"),
        ("\ufffename\U0001ffff\ufdd0", "name"),
    ],
)
def test_known_names(raw: str | bytes, safe: str) -> None:
    assert safe_name(raw) == safe


@pytest.mark.parametrize(
    "raw",
    ["con", "CON.txt", "nul.tar.gz", "Aux .c", "com1", "COM¹.log", "lpt³", "LPT0", "CONIN$", "clock$.x", "nul\u00a0.h"],
)
def test_device_names_of_windows_are_marked(raw: str) -> None:
    assert safe_name(raw) == f"_{raw}"


@pytest.mark.parametrize(
    "raw", ["console", "com10", "com.txt", "nullable.py", "x.con", "prn_.txt", "auxiliary", "COM⁴"]
)
def test_names_that_only_resemble_devices_are_left_alone(raw: str) -> None:
    assert safe_name(raw) == raw


def test_a_cut_does_not_uncover_a_device_name() -> None:
    assert safe_name("CON" + " " * 300 + "x.txt") == "_CON.txt"
    full = safe_name("con." + "a" * 192 + ".txt")
    assert full.startswith("_con.aaa") and full.endswith("a.txt") and len(full) == MAX_NAME_BYTES


def test_zero_width_joiners_stay_inside_emoji_only() -> None:
    couple = "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468"
    coder = "\U0001f468\U0001f3fd\u200d\U0001f4bb"
    assert safe_name(f"{couple} {coder}.png") == f"{couple} {coder}.png"
    assert safe_name("a\u200db\u200d.txt") == "ab.txt"
    assert safe_name("\u200d\U0001f600\u200d\u200d\U0001f600\u200d") == "\U0001f600\U0001f600"
    assert safe_name("a\ufe0f\u200d\U0001f600") == "a\ufe0f\U0001f600"
    assert safe_name("\u2329\u200d\U0001f600") == "\u3008\U0001f600"


@pytest.mark.parametrize(
    ("raw", "ending"),
    [
        ("x" * 300 + ".jpeg", "x.jpeg"),
        ("漢" * 300 + ".pdf", "漢.pdf"),
        ("x" * 300 + ".tar.gz", "x.tar.gz"),
        ("x" * 300, "x"),
        ("x" * 100 + "." + "y" * 300, "y"),
        ("😀" * 300 + ".é", "😀.é"),
    ],
)
def test_a_long_name_is_cut_before_its_extension(raw: str, ending: str) -> None:
    name = safe_name(raw)
    assert MAX_NAME_BYTES - 4 < len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith(ending)


def test_a_name_of_exactly_the_limit_is_not_cut() -> None:
    assert safe_name("x" * 196 + ".txt") == "x" * 196 + ".txt"
    assert safe_name("x" * 197 + ".txt") == "x" * 196 + ".txt"


def test_a_free_name_is_kept() -> None:
    assert free_name("a.txt", lambda name: False) == "a.txt"


@pytest.mark.parametrize(
    ("name", "third"),
    [
        ("a.txt", "a (3).txt"),
        ("backup.tar.gz", "backup (3).tar.gz"),
        ("README", "README (3)"),
        ("Mr. Smith goes", "Mr. Smith goes (3)"),
        ("report (2024).pdf", "report (2024) (3).pdf"),
        (".profile", ".profile (3)"),
    ],
)
def test_a_taken_name_is_numbered_before_its_extension(name: str, third: str) -> None:
    asked: list[str] = []

    def taken(candidate: str) -> bool:
        asked.append(candidate)
        return len(asked) < 3

    assert free_name(name, taken) == third
    assert asked[0] == name and len(asked) == 3


@given(raw_names, st.integers(0, 12))
def test_a_numbered_name_is_safe_and_differs_from_those_taken(raw: str | bytes, others: int) -> None:
    held: set[str] = set()
    for _ in range(others):
        held.add(same_name_key(free_name(safe_name(raw), lambda name: same_name_key(name) in held)))
    assert len(held) == others
    name = free_name(safe_name(raw), lambda name: same_name_key(name) in held)
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("one", "other"), [("README", "readme"), ("STRASSE", "straße"), ("caf\u00e9", "CAFE\u0301"), ("Σας", "σασ")]
)
def test_names_that_one_disk_confuses_have_one_key(one: str, other: str) -> None:
    assert same_name_key(one) == same_name_key(other)


@given(st.text())
def test_composition_does_not_change_the_key(name: str) -> None:
    forms = {same_name_key(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert forms == {same_name_key(name)}


def test_different_names_have_different_keys() -> None:
    assert len({same_name_key(name) for name in ("a", "b", "a.txt", "a (2)", "ä", "ﬁ.", "")}) == 7


paths_on_disk = st.binary(min_size=1, max_size=255).filter(lambda path: b"\0" not in path)


def read_back(shown: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), shown.encode())


@pytest.mark.parametrize(
    ("on_disk", "shown"),
    [
        (b"docs/a.txt", "docs/a.txt"),
        ("e\u0301".encode(), "\u00e9"),
        (b"caf\xe9/x", r"caf\xe9/x"),
        (b"\xff", r"\xff"),
        (rb"\xff", r"\x5cxff"),
        (b"\\\xff", r"\\xff"),
        (rb"back\slash", r"back\slash"),
        (b"two\nlines\x1b[31m", r"two\x0alines\x1b[31m"),
        ("\u0085".encode(), r"\xc2\x85"),
    ],
)
def test_paths_are_shown_readably(on_disk: bytes, shown: str) -> None:
    assert display_path(on_disk) == shown


@given(paths_on_disk | awkward.map(lambda text: text.replace("\0", "").encode("utf-8", "surrogatepass")))
def test_a_shown_path_is_plain_text_in_nfc(on_disk: bytes) -> None:
    shown = display_path(on_disk)
    assert unicodedata.is_normalized("NFC", shown)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs")]


@given(st.lists(st.sampled_from([b"\\", b"x", b"f", b"0", b"\xff", b"\xc3", b"\xa9", b"\n", b"/"]), max_size=12))
def test_bytes_can_be_told_from_the_text_that_stands_for_them(pieces: list[bytes]) -> None:
    on_disk = b"".join(pieces)
    assert read_back(display_path(on_disk)) == on_disk


@given(st.lists(paths_on_disk.map(lambda part: part.replace(b"/", b"-")), min_size=1, max_size=4))
def test_any_path_of_a_disk_may_be_announced(parts: list[bytes]) -> None:
    usable = [part for part in parts if part not in (b".", b"..")] or [b"x"]
    assert is_relative_path(display_path(b"/".join(usable)))


def test_the_longest_name_of_a_disk_may_be_announced() -> None:
    assert is_relative_path(display_path(b"\xff" * 255))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "/",
        "..",
        ".",
        "a/../b",
        "./a",
        "a/.",
        "a//b",
        "a/",
        "a\0b",
        "a\ud800b",
        "a\udcff",
        "x" * 1021,
        "a/" * 2048 + "b",
    ],
)
def test_paths_that_lead_elsewhere_or_nowhere_are_refused(text: str) -> None:
    assert not is_relative_path(text)


@pytest.mark.parametrize("text", ["a", "a/b.txt", "..a/b..", "...", "a\\b", "x" * 1020, "a/" * 2047 + "bc", "日本/😀"])
def test_relative_paths_are_accepted(text: str) -> None:
    assert is_relative_path(text)
