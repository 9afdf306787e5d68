"""What proves a peer: keys, signatures, challenges, tokens."""

import base64
import hashlib
from dataclasses import dataclass

import pytest
from nacl.signing import SigningKey

from common import errors
from superpeer.peers import credentials
from superpeer.peers.credentials import CHALLENGE_LIFE, MAX_CHALLENGES, SMALL_ORDER, Challenges

KEY = SigningKey(hashlib.sha256(b"a peer").digest())
PUBLIC = bytes(KEY.verify_key)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Holder:
    token_digest: bytes
    proven_token: str | None = None


def test_a_key_is_read_in_either_alphabet() -> None:
    key = next(key for n in range(99) if set(base64_of(key := hashlib.sha256(bytes([n])).digest())) >= set("+/"))
    assert credentials.public_key(base64_of(key)) == key
    assert credentials.public_key(base64.urlsafe_b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "text",
    ["", "A", "AAAA", base64_of(PUBLIC[:31]), base64_of(PUBLIC + b"x"), base64_of(PUBLIC).rstrip("="), "!" * 44, "é"],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        credentials.public_key(text)
    assert refused.value.code == "invalid_body"


@pytest.mark.parametrize("point", sorted(SMALL_ORDER), ids=bytes.hex)
@pytest.mark.parametrize("sign", [0x00, 0x80])
def test_keys_under_which_a_signature_proves_nothing_are_refused(point: bytes, sign: int) -> None:
    with pytest.raises(errors.Invalid):
        credentials.public_key(base64_of(point[:31] + bytes([point[31] | sign])))


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def doubled(x: int, y: int) -> tuple[int, int]:
    """Twice a point of the curve -x² + y² = 1 + dx²y²."""
    product = D * x * x * y * y
    return 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P


def x_of(y: int) -> int:
    """One of the two `x` of the point with this `y`."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    root = root if root * root % P == square else root * pow(2, (P - 1) // 4, P) % P
    assert root * root % P == square
    return root


def test_the_list_of_such_keys_is_whole() -> None:
    """All points whose eightfold is the neutral one: five different `y`, two of which can be written in two ways."""
    written = {int.from_bytes(point, "little") for point in SMALL_ORDER}
    ys = {y % P for y in written}
    for y in ys:
        point = (x_of(y), y)
        for _ in range(3):
            point = doubled(*point)
        assert point == (0, 1)
    assert len(ys) == 5  # orders 1, 2, 4 (one y for two points), 8 (two y for four points)
    assert written == ys | {y + P for y in ys if y + P < 2**255}


def test_the_signed_text_is_what_the_contract_says() -> None:
    text = credentials.signed_text("super", "nonce", "id", "10.0.0.1", 9001)
    assert text == b"p2p-register/1\nsuper\nnonce\nid\n10.0.0.1\n9001"
    assert credentials.signed_text("s", "n", "i", "", 1) == b"p2p-register/1\ns\nn\ni\n\n1"


def test_a_signature_that_fits_is_taken() -> None:
    credentials.check_signature(PUBLIC, base64_of(KEY.sign(b"text").signature), b"text")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "not base64!",
        base64_of(b""),
        base64_of(b"\0" * 64),
        base64_of(KEY.sign(b"text").signature[:63]),
        base64_of(KEY.sign(b"text").signature + b"\0"),
        base64_of(KEY.sign(b"another text").signature),
        base64_of(SigningKey(b"1" * 32).sign(b"text").signature),
    ],
)
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises(errors.Unauthenticated) as refused:
        credentials.check_signature(PUBLIC, signature, b"text")
    assert refused.value.code == "signature_invalid"


def test_a_challenge_is_good_once_and_for_its_key_only() -> None:
    challenges = Challenges()
    nonce = challenges.open(PUBLIC, 0.0)
    assert len(base64.b64decode(nonce)) == 32
    challenges.spend(nonce, PUBLIC, CHALLENGE_LIFE)
    with pytest.raises(errors.Unauthenticated) as refused:
        challenges.spend(nonce, PUBLIC, CHALLENGE_LIFE)
    assert refused.value.code == "challenge_expired"
    with pytest.raises(errors.Unauthenticated):
        challenges.spend(challenges.open(PUBLIC, 0.0), b"x" * 32, 0.0)


def test_a_challenge_has_its_time() -> None:
    challenges = Challenges()
    nonce = challenges.open(PUBLIC, 0.0)
    with pytest.raises(errors.Unauthenticated):
        challenges.spend(nonce, PUBLIC, CHALLENGE_LIFE + 0.001)


def test_no_two_challenges_are_equal() -> None:
    challenges = Challenges()
    assert len({challenges.open(PUBLIC, 0.0) for _ in range(1000)}) == 1000


def test_a_flood_of_challenges_is_bounded_and_the_oldest_go() -> None:
    challenges = Challenges()
    nonces = [challenges.open(PUBLIC, 0.0) for _ in range(MAX_CHALLENGES + 1)]
    with pytest.raises(errors.Unauthenticated):
        challenges.spend(nonces[0], PUBLIC, 0.0)
    challenges.spend(nonces[1], PUBLIC, 0.0)
    assert len(challenges._open) == MAX_CHALLENGES - 1


def test_old_challenges_take_no_room() -> None:
    challenges = Challenges()
    for _ in range(10):
        challenges.open(PUBLIC, 0.0)
    challenges.open(PUBLIC, CHALLENGE_LIFE + 1)
    assert len(challenges._open) == 1


def test_a_token_is_kept_as_its_digest_and_proves_its_holder() -> None:
    token = credentials.new_token()
    assert len(token) >= 43
    assert credentials.digest(token) == hashlib.sha256(token.encode()).digest()
    holder = Holder(credentials.digest(token))
    assert credentials.proves(holder, token)
    assert credentials.proves(holder, token)
    assert not credentials.proves(holder, token + "x")
    assert not credentials.proves(holder, "")


def test_a_wrong_token_is_not_remembered() -> None:
    holder = Holder(credentials.digest("right"))
    assert not credentials.proves(holder, "wrong")
    assert holder.proven_token is None
    assert not credentials.proves(holder, "wrong")
    assert credentials.proves(holder, "right")


def test_a_header_that_is_not_utf_8_proves_nothing() -> None:
    holder = Holder(credentials.digest("right"))
    assert not credentials.proves(holder, b"\xff\xfe".decode("utf-8", "surrogateescape"))
    assert credentials.proves(holder, "right")
    assert not credentials.proves(holder, b"\xff\xfe".decode("utf-8", "surrogateescape"))
