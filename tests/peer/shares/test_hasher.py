"""Hashing many files: right, fair, interruptible, with or without helping processes."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from common.content.hashing import BLAKE3, BUFFER_SIZE, SHA256, Algorithm
from peer.shares import hasher as hashing
from peer.shares.crew import Crew
from peer.shares.hash_process import Outcome, hash_batch
from peer.shares.hasher import CROWD, SLICE, Backlog, Group, Hasher, hash_tree
from peer.shares.tree import Rules, Seen, join, seen
from tests.peer.shares.trees import NOT_UTF8, as_nobody, children, plant, readable_by_all, sha256, write

Delivered = SimpleQueue[tuple[Group, list[Outcome]]]


@pytest.fixture
def delivered() -> Delivered:
    return SimpleQueue()


@pytest.fixture
def hasher(delivered: Delivered) -> Iterator[Hasher]:
    hasher = Hasher(lambda group, outcomes: delivered.put((group, outcomes)), SHA256, workers=1)
    yield hasher
    hasher.close()
    assert children() == set()


def group(root: Path, *names: str, folder: str = "") -> Group:
    files = [seen(os.fsencode(name), os.lstat(root / folder / name)) for name in names]
    return Group(1, os.fsencode(root), os.fsencode(folder), files)


def take(delivered: Delivered, files: int) -> dict[bytes, Outcome]:
    """The next outcomes, by name."""
    outcomes: dict[bytes, Outcome] = {}
    while len(outcomes) < files:
        group, some = delivered.get(timeout=30)
        outcomes |= {file.name: outcome for file, outcome in zip(group.files, some, strict=True)}
    return outcomes


def ids(outcomes: dict[bytes, Outcome]) -> dict[bytes, str]:
    return {name: outcome[0] if isinstance(outcome, tuple) else outcome for name, outcome in outcomes.items()}


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def test_small_files(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    expected = {b"a": write(tmp_path / "a", "A"), b"b": write(tmp_path / "b", "B" * 3 * BUFFER_SIZE)}
    hasher.submit([group(tmp_path, "a", "b")])
    assert ids(take(delivered, 2)) == expected


def test_a_large_file(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    content = os.urandom(1000) * (SLICE // 1000 + 1000)
    expected = write(tmp_path / "large", content)
    hasher.submit([group(tmp_path, "large")])
    assert ids(take(delivered, 1)) == {b"large": expected}


def test_what_is_not_as_it_was_seen_is_not_proven(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    for name in ("changed", "touched", "replaced", "gone", "fifo", "link", "same"):
        write(tmp_path / name, "some content")
    seen_before = group(tmp_path, "changed", "touched", "replaced", "gone", "fifo", "link", "same")
    write(tmp_path / "changed", "some more content")
    os.utime(tmp_path / "touched", (1, 1))
    (tmp_path / "replaced").unlink()
    write(tmp_path / "other", "some content")
    (tmp_path / "other").rename(tmp_path / "replaced")
    for name in ("gone", "fifo", "link"):
        (tmp_path / name).unlink()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("same")
    hasher.submit([seen_before])
    outcomes = ids(take(delivered, 7))
    assert outcomes.pop(b"same") == sha256("some content")
    assert outcomes == {
        b"changed": "changed",
        b"touched": "changed",
        b"replaced": "changed",
        b"gone": "gone",
        b"fifo": "changed",
        b"link": "gone",
    }


def test_a_large_file_that_changes_while_it_is_read(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    sparse(tmp_path / "large", 4 * SLICE)
    before = group(tmp_path, "large")
    with (tmp_path / "large").open("r+b") as file:
        file.write(b"x")
    hasher.submit([before])
    assert ids(take(delivered, 1)) == {b"large": "changed"}


def test_a_folder_that_is_gone(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    write(tmp_path / "sub" / "a")
    write(tmp_path / "b")
    inner = group(tmp_path, "a", folder="sub")
    (tmp_path / "sub").rename(tmp_path / "elsewhere")
    hasher.submit([inner, group(tmp_path, "b")])
    assert ids(take(delivered, 2)) == {b"a": "gone", b"b": sha256("content")}


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    (tmp_path / "mine").chmod(0o000)
    tmp_path.chmod(0o755)
    with readable_by_all(tmp_path) as root:
        batch = [(root, b"", [seen(b"mine", os.lstat(tmp_path / "mine"))[:4]])]
        assert as_nobody(lambda: hash_batch(batch, memoryview(bytearray(10)), SHA256)) == ["denied"]


def test_a_file_whose_length_is_not_what_the_system_says(delivered: Delivered, hasher: Hasher) -> None:
    """Files of the kernel say 4096 bytes and have fewer: they cannot be proven, and need not be tried for ever."""
    hasher.submit([group(Path("/sys/kernel"), "uevent_seqnum")])
    assert ids(take(delivered, 1)) == {b"uevent_seqnum": "failed"}


def test_small_files_do_not_wait_for_a_large_one(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    sparse(tmp_path / "large", 6 * SLICE)
    names = [f"small {number}" for number in range(10)]
    for name in names:
        write(tmp_path / name, name)
    hasher.submit([group(tmp_path, "large")])
    hasher.submit([group(tmp_path, name) for name in names])
    order = [name for _ in range(11) for name in take(delivered, 1)]
    assert order[-1] == b"large"


def test_a_stop_interrupts_a_huge_file(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    sparse(tmp_path / "huge", 1 << 42)
    write(tmp_path / "small")
    hasher.submit([group(tmp_path, "huge")])
    hasher.submit([group(tmp_path, "small")])
    take(delivered, 1)
    hasher.close()
    assert delivered.empty()
    hasher.submit([group(tmp_path, "small")])
    assert hasher.waiting == 0 or delivered.empty()


def crowd(root: Path, files: int) -> tuple[list[Group], dict[bytes, str]]:
    expected = {}
    for number in range(files):
        expected[b"%d" % number] = write(root / str(number), f"{number} " * (number % 50))
    return [group(root, *(os.fsdecode(name) for name in expected))], expected


def test_a_crowd_is_hashed_with_a_process_and_all_comes_back(
    tmp_path: Path, hasher: Hasher, delivered: Delivered
) -> None:
    groups, expected = crowd(tmp_path, CROWD + 300)
    hasher.submit(groups)
    assert ids(take(delivered, len(expected))) == expected
    assert len(children()) == 1


def test_nothing_is_left_after_a_while_without_work(
    tmp_path: Path, hasher: Hasher, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "IDLE", 0.01)
    groups, expected = crowd(tmp_path, CROWD)
    hasher.submit(groups)
    take(delivered, len(expected))
    for worker in list(hasher._threads):
        worker.join(timeout=30)
    assert (hasher._threads, children()) == (set(), set())
    hasher.submit([group(tmp_path, "1")])
    assert ids(take(delivered, 1)) == {b"1": expected[b"1"]}


def test_a_process_that_is_killed_costs_no_file(tmp_path: Path, hasher: Hasher, delivered: Delivered) -> None:
    groups, expected = crowd(tmp_path, 3 * CROWD)
    hasher.submit(groups)
    first = take(delivered, 1)
    while not children() and len(first) < len(expected):
        first |= take(delivered, 1)
    for child in children():
        os.kill(child, 9)
    assert ids(first | take(delivered, len(expected) - len(first))) == expected


def test_without_a_process_it_works_as_well(
    tmp_path: Path, hasher: Hasher, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no python here"))
    groups, expected = crowd(tmp_path, 2 * CROWD)
    hasher.submit(groups)
    assert ids(take(delivered, len(expected))) == expected
    assert children() == set()


def test_a_crew_takes_odd_names(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(NOT_UTF8)).write_bytes(b"odd")
    file = seen(NOT_UTF8, os.lstat(tmp_path / os.fsdecode(NOT_UTF8)))
    crew = Crew(SHA256)
    assert crew.start()
    outcomes = crew.hash([(os.fsencode(tmp_path), b"", [file[:4]])])
    crew.stop()
    assert outcomes is not None
    assert outcomes[0][0] == sha256("odd")
    assert crew.hash([]) is None


def test_a_process_hashes_by_the_algorithm_it_is_given(tmp_path: Path) -> None:
    write(tmp_path / "file", "content")
    crew = Crew(BLAKE3)
    try:
        assert crew.start()
        files = [each[:4] for each in group(tmp_path, "file").files]
        [outcome] = crew.hash([(os.fsencode(tmp_path), b"", files)]) or ["none"]
        assert outcome[0] == BLAKE3.new(b"content").hexdigest()
    finally:
        crew.stop()


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom common.content.hashing import SHA256\nfrom peer.shares.crew import Crew\n"
        "crew = Crew(SHA256)\ncrew.start()\n"
        "assert crew.hash([]) == []\nprint(crew._process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(done.stdout)
    fd = -1
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 30)[0], "it is still there"
    finally:
        os.close(fd)


def file(name: bytes, size: int) -> Seen:
    return Seen(name, size, 0, 0, 0, 0)


def test_a_batch_is_bounded_in_files_and_bytes() -> None:
    backlog = Backlog()
    many = Group(1, b"/", b"", [file(b"%d" % number, 1) for number in range(hashing.BATCH_FILES + 5)])
    heavy = Group(1, b"/", b"h", [file(b"heavy", SLICE), file(b"heavy too", SLICE)])
    backlog.put([many, heavy, Group(1, b"/", b"l", [file(b"large", SLICE + 1)])])
    sizes = []
    while groups := backlog.take_small():
        sizes.append([len(group.files) for group in groups])
    assert sizes == [[hashing.BATCH_FILES], [5, 1], [1]]
    large = backlog.take_large()
    assert large is not None
    assert [each.name for each in large.files] == [b"large"]
    assert (backlog.take_large(), backlog.files) == (None, 0)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("algorithm", [SHA256, BLAKE3], ids=lambda algorithm: algorithm.name)
def test_a_whole_tree(tmp_path: Path, workers: int, algorithm: Algorithm) -> None:
    write(tmp_path / "large", b"x" * (SLICE + 5))
    paths = [*plant(tmp_path, 2000), "large"]
    expected = {os.fsencode(path): algorithm.new((tmp_path / path).read_bytes()).hexdigest() for path in paths}
    found = {
        join(group.folder, file.name): outcome
        for group, outcomes in hash_tree(os.fsencode(tmp_path), Rules(), workers, algorithm)
        for file, outcome in zip(group.files, outcomes, strict=True)
    }
    assert ids(found) == expected
    assert children() == set()


def test_a_tree_without_files(tmp_path: Path) -> None:
    assert list(hash_tree(os.fsencode(tmp_path))) == []
    assert list(hash_tree(os.fsencode(tmp_path / "absent"))) == []
