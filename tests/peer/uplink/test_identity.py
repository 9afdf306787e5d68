"""A peer's key is made once, kept for its owner alone, and never replaced."""

import base64
import os
import stat
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from common.ids import is_keyed_form, keyed_peer_id
from peer.uplink.identity import KEY_FILE, SEED, IdentityUnusable, load_identity, registration_text


def complaint(folder: Path) -> str:
    with pytest.raises(IdentityUnusable) as refused:
        load_identity(folder)
    return str(refused.value)


def test_the_key_is_made_at_the_first_start_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_identity(tmp_path)
    finally:
        os.umask(before)
    path = tmp_path / "identity.key"
    assert os.listdir(tmp_path) == [KEY_FILE] == [path.name]
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) == (0o600, 32)


def test_the_same_key_is_used_at_every_start(tmp_path: Path) -> None:
    first = load_identity(tmp_path)
    before = (tmp_path / KEY_FILE).stat()
    again = load_identity(tmp_path)
    after = (tmp_path / KEY_FILE).stat()
    assert (again.peer_id, again.public_key) == (first.peer_id, first.public_key)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_every_peer_has_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert load_identity(tmp_path / "a").peer_id != load_identity(tmp_path / "b").peer_id


def test_the_id_and_the_signature_follow_from_the_seed(tmp_path: Path) -> None:
    """The first key pair of RFC 8032, 7.1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    (tmp_path / KEY_FILE).write_bytes(seed)
    identity = load_identity(tmp_path)
    assert base64.b64decode(identity.public_key) == public
    assert identity.peer_id == keyed_peer_id(public) and is_keyed_form(identity.peer_id)
    VerifyKey(public).verify(b"text", base64.b64decode(identity.sign(b"text")))


def test_what_a_registration_signs_is_six_lines(tmp_path: Path) -> None:
    assert registration_text("S", "N=", "id", "", 9001) == b"p2p-register/1\nS\nN=\nid\n\n9001"
    assert registration_text("S", "N=", "id", "é", 1) == "p2p-register/1\nS\nN=\nid\né\n1".encode()


@pytest.mark.parametrize("size", [0, 1, SEED - 1, SEED + 1, 5000])
def test_a_damaged_key_is_refused_in_one_line_and_left_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(b"x" * size)
    told = complaint(tmp_path)
    assert str(path) in told and "damaged" in told and "\n" not in told
    assert path.read_bytes() == b"x" * size


def test_a_folder_in_its_place_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir()
    told = complaint(tmp_path)
    assert str(tmp_path / KEY_FILE) in told and "\n" not in told


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    told = complaint(tmp_path / "absent")
    assert "No such file or directory" in told and "\n" not in told


def test_what_a_start_cut_short_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    for left in ("identity.new", "identity.key.new"):
        (tmp_path / left).write_bytes(b"half")
    first = load_identity(tmp_path)
    assert load_identity(tmp_path).peer_id == first.peer_id
