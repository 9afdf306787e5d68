"""Names that are never shared, and names that only look a little like them."""

import pytest

from peer.shares.forbidden import is_key_like, is_unfinished, key_like_part


@pytest.mark.parametrize(
    "name",
    [
        b".ssh", b".SSH", b".gnupg", b".aws", b".env", b".env.production", b".netrc", b".git-credentials", b".pgpass",
        b"id_rsa", b"ID_RSA", b"id_ed25519", b"id_rsa.old", b"server.pem", b"SERVER.PEM", b"tls.key", b"backup.p12",
        b"cert.pfx", b"login.kdbx", b"wallet.dat", b"main.wallet", b".bitcoin", b"putty.ppk", b"owner-token",
        b"identity.key", b"key4.db", b"terraform.tfstate", b".bash_history", b"\xff.pem",
    ],
)  # fmt: skip
def test_key_like_names(name: bytes) -> None:
    assert is_key_like(name)


@pytest.mark.parametrize(
    "name",
    [
        b"environment.txt", b"env", b"key", b"keys.txt", b"pem", b"monkey.jpg", b"id_rsa.pub", b"id_ed25519.pub",
        b"wallet.jpg", b".env.example", b"ssh", b"sshd.conf", b"keyboard.c", b"opem.txt", b"pem.txt",
    ],
)  # fmt: skip
def test_harmless_names(name: bytes) -> None:
    assert not is_key_like(name)


def test_a_path_is_judged_by_every_component() -> None:
    assert key_like_part(b"/home/me/.ssh/known_hosts") == b".ssh"
    assert key_like_part(b"/home/me/music/id_rsa") == b"id_rsa"
    assert key_like_part(b"/home/me/music") == b""


def test_what_is_still_being_written() -> None:
    assert is_unfinished(b"film.mkv.part")
    assert not is_unfinished(b"part")
    assert not is_unfinished(b"film.part1.rar")
