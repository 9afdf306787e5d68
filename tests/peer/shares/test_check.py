"""Reading one file through: in steps, and what each error of the disk means."""

import errno
import os
from pathlib import Path

import pytest
import xxhash

from common.content.hashing import SHA256
from peer.shares.agenda import Place
from peer.shares.check import READ, Check
from peer.shares.damage import Suspect
from peer.shares.disk import stamp_of
from peer.shares.listing import Kept
from peer.shares.schema import Damage
from tests.peer.shares.trees import sha256, write

CONTENT = os.urandom(1 << 20) * 2
XXH3 = xxhash.xxh3_128(CONTENT).digest()


def suspect(path: Path, file_id: str, xxh3: bytes | None = None, damage: str | None = None) -> Suspect:
    kept = Kept(os.fsencode(path.parent), Place(1, b""), os.fsencode(path.name), path.name, stamp_of(path.lstat()))
    return Suspect(1, kept, file_id, xxh3, damage, None, None)


def read(wanted: Suspect, budget: int = 1 << 30) -> tuple[Check, int]:
    """A check that is done, and how many bytes it read."""
    check, count = Check(wanted, SHA256), 0
    buffer = memoryview(bytearray(READ))
    try:
        while not check.is_done:
            count += check.advance(buffer, budget)
    finally:
        check.close()
    return check, count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "file", CONTENT)
    return tmp_path / "file"


@pytest.mark.parametrize("budget", [1, READ, 3 * READ, 1 << 30])
def test_what_is_known_is_read_once(path: Path, budget: int) -> None:
    check, count = read(suspect(path, sha256(CONTENT), XXH3), budget)
    assert check.finding is not None
    assert (check.finding.is_sound, check.finding.made, count) == (True, None, len(CONTENT))


@pytest.mark.parametrize("budget", [1, READ, 1 << 30])
def test_what_seems_different_is_proven_before_it_is_called_damaged(path: Path, budget: int) -> None:
    check, count = read(suspect(path, sha256(CONTENT), b"not its checksum"), budget)
    assert check.finding is not None and check.finding.made is not None
    assert (check.finding.is_sound, check.finding.made.xxh3, count) == (True, XXH3, 2 * len(CONTENT))
    check, count = read(suspect(path, "0" * 64, b"not its checksum"), budget)
    assert check.finding is not None
    assert (check.finding.damage, check.finding.is_sound) == (Damage.DIFFERS, False)


def test_a_right_checksum_does_not_repair_a_damaged_file(path: Path) -> None:
    check, _ = read(suspect(path, "0" * 64, XXH3, Damage.DIFFERS))
    assert check.finding is not None and check.finding.damage == Damage.DIFFERS


def test_another_version_is_no_damage(path: Path) -> None:
    wanted = suspect(path, sha256(CONTENT))
    for change in (lambda: path.write_bytes(b"short"), lambda: os.truncate(path, 0), lambda: path.unlink()):
        change()
        check, _ = read(wanted)
        assert check.is_elsewhere and check.finding is not None
        assert (check.finding.damage, check.finding.is_sound) == (None, False)


def test_what_the_disk_does_not_give_is_unreadable() -> None:
    # The page at address 0 is never there: the kernel answers as a disk with a hole does.
    memory = Path(f"/proc/{os.getpid()}/mem")
    wanted = suspect(memory, "0" * 64)
    check, _ = read(wanted._replace(kept=wanted.kept._replace(stamp=(1, 0, 0))))
    assert check.finding is not None and check.finding.damage == Damage.UNREADABLE


@pytest.mark.parametrize(
    ("number", "is_elsewhere", "says_something"),
    [(errno.EMFILE, False, False), (errno.ENOTCONN, False, True), (errno.EACCES, True, True)],
)
def test_other_errors_are_no_word_about_the_bytes(
    path: Path, number: int, is_elsewhere: bool, says_something: bool
) -> None:
    check = Check(suspect(path, "0" * 64), SHA256)
    check._fail(OSError(number, "told by the system"))
    assert (check.is_done, check.is_elsewhere, check.finding is not None) == (True, is_elsewhere, says_something)
    assert check.finding is None or check.finding.damage is None
