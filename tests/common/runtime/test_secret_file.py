"""A secret is read from a regular file of ours, and from nothing that stands in its place."""

import os
import stat
from pathlib import Path

import pytest

from common.runtime.secret_file import SecretUnusable, make_secret, read_secret

SECRET = b"the secret of this test\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def complaint(path: Path) -> str:
    with pytest.raises(SecretUnusable) as refused:
        read_secret(path)
    return str(refused.value)


def test_a_new_one_is_there_whole_for_us_alone(path: Path) -> None:
    assert read_secret(path) is None
    make_secret(path, SECRET)
    assert (read_secret(path), mode_of(path), os.listdir(path.parent)) == (SECRET, 0o600, ["token"])


def test_a_new_one_takes_no_others_place(path: Path) -> None:
    make_secret(path, SECRET)
    with pytest.raises(SecretUnusable, match="File exists"):
        make_secret(path, b"another")
    assert read_secret(path) == SECRET


def test_what_a_kill_left_half_made_is_no_hindrance(path: Path) -> None:
    path.with_name("token.new").write_text("hal")
    make_secret(path, SECRET)
    assert read_secret(path) == SECRET


def test_one_that_others_may_read_is_made_ours_alone(path: Path) -> None:
    path.write_bytes(SECRET)
    path.chmod(0o644)
    assert (read_secret(path, own=False), mode_of(path)) == (SECRET, 0o644)
    assert (read_secret(path), mode_of(path)) == (SECRET, 0o600)


@pytest.mark.parametrize("target", ["elsewhere", "absent"])
def test_a_link_is_not_followed_and_its_target_left_as_it_is(path: Path, target: str) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_bytes(SECRET)
    elsewhere.chmod(0o644)
    path.symlink_to(target)
    assert complaint(path).startswith(f"{path} cannot be used (it is a symbolic link): move it away")
    assert mode_of(elsewhere) == 0o644


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_neither_is_waited_for_nor_read_what_is_no_regular_file(path: Path, kind: int) -> None:
    if kind == stat.S_IFDIR:
        path.mkdir(0o755)
    else:
        os.mknod(path, kind | 0o644)
    before = mode_of(path)
    assert complaint(path).startswith(f"{path} cannot be used (it is not a regular file): move it away")
    assert mode_of(path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_one_of_another_account_is_not_taken(path: Path) -> None:
    path.write_bytes(SECRET)
    path.chmod(0o644)
    os.chown(path, 12345, 12345)
    assert "it belongs to another account, uid 12345): give it to this account" in complaint(path)
    assert mode_of(path) == 0o644
    assert read_secret(path, own=False) == SECRET
