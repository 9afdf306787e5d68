"""What stands in the way of a start is one line: which path, what is wrong, what to do; and the exit code is 2."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer.control.arguments import parser, run_settings
from peer.control.owner import TokenUnusable, load_owner_token
from tests.peer.control.conftest import Command


@pytest.fixture
def data(folder: Path) -> Path:
    made = folder / "data"
    made.mkdir(mode=0o700)
    return made


async def refusal(peer: Command, data: Path | str, *more: str) -> str:
    """What a start that must fail says."""
    ran = await peer("run", "--port", "0", "--data", str(data), *more)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert ran.err.startswith("peer: ")
    assert "Errno" not in ran.err
    assert "b'" not in ran.err
    return ran.err.removeprefix("peer: ").strip()


@pytest.mark.parametrize("name", ["owner-token", "identity.key"])
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_what_stands_in_a_secrets_place_is_neither_read_nor_waited_for(
    peer: Command, folder: Path, data: Path, name: str, kind: str
) -> None:
    path, elsewhere = data / name, folder / "elsewhere"
    elsewhere.write_text("x" * 32)
    elsewhere.chmod(0o644)
    {"link": lambda: path.symlink_to(elsewhere), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    why = "it is a symbolic link" if kind == "link" else "it is not a regular file"
    assert (await refusal(peer, data)).startswith(f"{path} cannot be used ({why}): move it away")
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_what_stands_in_the_locks_place_is_named(peer: Command, folder: Path, data: Path, kind: str) -> None:
    path = data / "lock"
    {"link": lambda: path.symlink_to(folder / "x"), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    said = await refusal(peer, data)
    assert said == f"{path} cannot be used (it is not a regular file): move it away, or {ANOTHER}"


ANOTHER = "choose another data folder with --data"


async def test_a_data_folder_that_is_none_is_named(peer: Command, folder: Path) -> None:
    (folder / "file").touch()
    for path in (folder / "file", folder / "file" / "below"):
        assert await refusal(peer, path) == f"the data folder {path} cannot be used (it is not a folder): {ANOTHER}"
    said = await refusal(peer, "/proc/absent")
    assert said == f"the data folder /proc/absent cannot be used (No such file or directory): {ANOTHER}"


@pytest.fixture
def full_disk(folder: Path) -> Iterator[Path]:
    made = folder / "full"
    made.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", made], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    with (made / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    yield made
    subprocess.run(["umount", "-l", made], check=True)


async def test_a_full_disk_is_named(peer: Command, full_disk: Path) -> None:
    said = await refusal(peer, full_disk)
    assert said.startswith(f"the data folder {full_disk} cannot be used (No space left on device): make room")


async def test_a_disk_that_is_full_from_the_lock_on_is_named(peer: Command, full_disk: Path) -> None:
    with (full_disk / "filler").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 4096)
    said = await refusal(peer, full_disk)
    assert said.startswith(f"{full_disk / 'identity.key'} cannot be used (No space left on device): make room")


@pytest.mark.parametrize("first", [True, False])
async def test_a_typed_share_that_is_not_there_is_refused_and_not_made(
    peer: Command, folder: Path, data: Path, first: bool
) -> None:
    (folder / "there").mkdir()
    shares = ["absent", "there"] if first else ["there", "absent"]
    said = await refusal(peer, data, *(part for share in shares for part in ("--share", str(folder / share))))
    assert said.startswith(f"There is no folder {folder / 'absent'}, nor a file of that name: make it first")
    assert not (folder / "absent").exists()


async def test_a_typed_share_that_cannot_be_read_is_refused(peer: Command, folder: Path, data: Path) -> None:
    (folder / "loop").symlink_to("loop")
    said = await refusal(peer, data, "--share", str(folder / "loop"))
    assert said.startswith(f"{folder / 'loop'} cannot be read (Too many levels of symbolic links): ")


@pytest.mark.parametrize("path", ["/proc", "/dev/null"])
async def test_a_share_that_cannot_be_one_is_named(peer: Command, data: Path, path: str) -> None:
    said = await refusal(peer, data, "--share", path)
    assert path in said
    assert "cannot be" in said


def test_uploads_go_to_the_first_share_that_is_not_a_single_file(folder: Path) -> None:
    (folder / "file").touch()
    file, other = str(folder / "file"), str(folder / "other")
    given = run_settings(parser().parse_args(["run", "--share", file, "--share", other]))
    assert (given["peer.shared_directory"], given["peer.shares"]) == (other, [file])
    given = run_settings(parser().parse_args(["run", "--share", file]))
    assert (given["peer.shared_directory"], given["peer.shares"]) == (file, [])


def test_the_token_stays_and_is_made_anew_only_when_there_is_none(data: Path) -> None:
    token = load_owner_token(data)
    assert load_owner_token(data) == token
    (data / "owner-token").write_text("\n")
    anew = load_owner_token(data)
    assert len(anew) >= 20
    assert anew != token
    assert sorted(os.listdir(data)) == ["owner-token"]


@pytest.mark.parametrize("content", [b"short", b"\xff" * 40])
def test_a_damaged_token_is_not_taken(data: Path, content: bytes) -> None:
    (data / "owner-token").write_bytes(content)
    with pytest.raises(TokenUnusable, match="is damaged: remove it"):
        load_owner_token(data)


@pytest.mark.parametrize("kind", ["link", "fifo"])
async def test_a_command_neither_follows_nor_waits_for_what_stands_in_the_tokens_place(
    peer: Command, folder: Path, data: Path, own_peer: object, kind: str
) -> None:
    path = data / "owner-token"
    (folder / "elsewhere").write_text("x" * 32)
    {"link": lambda: path.symlink_to(folder / "elsewhere"), "fifo": lambda: os.mkfifo(path)}[kind]()
    ran = await peer("open", "--data", str(data), "--peer", own_peer.address)  # type: ignore[attr-defined]
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert ran.err.startswith(f"peer: No owner's token in {path} (it is ")
