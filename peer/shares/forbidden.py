"""What is never shared by its name: keys, passwords, wallets, and what is not finished yet.

A name is judged by itself, files and folders alike, without regard to case. Nor does it matter who asks: an owner who
wants to hand such a file on gives it another name.
"""

PART_SUFFIX = b".part"
"""Ends the name of a file that is still being written by a download or an upload."""

_NAMES = frozenset(
    b""".ssh .gnupg .gpg .aws .azure .kube .docker .gcloud .password-store .keychain .keyrings
    .env .envrc .netrc _netrc .pgpass .my.cnf .git-credentials .npmrc .pypirc .htpasswd .dockercfg .vault-token
    .bitcoin .litecoin .dogecoin .ethereum .electrum .monero wallets wallet.dat
    id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk authorized_keys
    owner-token identity-key
    logins.json key3.db key4.db credentials.json credentials.db
    .bash_history .zsh_history .python_history .psql_history .mysql_history""".split()
)
_ENDINGS = (
    b".pem",
    b".key",
    b".p12",
    b".pfx",
    b".ppk",
    b".jks",
    b".keystore",
    b".kdb",
    b".kdbx",
    b".wallet",
    b".keychain",
    b".keyring",
    b".keychain-db",
    b".agekey",
    b".ovpn",
    b".tfstate",
)
_BEGINNINGS = (b".env.", b"id_rsa.", b"id_ed25519.", b"id_ecdsa.", b"wallet.dat.")
_PUBLIC = (b".pub", b".example", b".sample", b".template")


def is_key_like(name: bytes) -> bool:
    """True for the name of a file or folder that commonly holds secrets."""
    lower = name.lower()
    if lower in _NAMES or lower.endswith(_ENDINGS):
        return True
    return lower.startswith(_BEGINNINGS) and not lower.endswith(_PUBLIC)


def is_unfinished(name: bytes) -> bool:
    """True for what is still being written."""
    return name.endswith(PART_SUFFIX)


def key_like_part(path: bytes) -> bytes:
    """The first component of a path that is key-like, empty when none is."""
    return next((part for part in path.split(b"/") if is_key_like(part)), b"")
