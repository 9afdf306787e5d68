import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import EMPTY_FILE_ID, is_chosen_peer_id, is_file_id, is_keyed_form, keyed_peer_id

DIGEST = hashlib.sha256(b"anything").hexdigest()
KEYED = keyed_peer_id(bytes(32))


@given(st.binary(max_size=64))
def test_every_sha256_in_hex_is_a_file_id(content: bytes) -> None:
    assert is_file_id(hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "text",
    [
        "",
        DIGEST.upper(),
        DIGEST[:-1],
        DIGEST + "0",
        DIGEST + "\n",
        " " + DIGEST[1:],
        "g" + DIGEST[1:],
        "٣" * 64,
        "../" * 22,
    ],
)
def test_nothing_else_is_a_file_id(text: str) -> None:
    assert not is_file_id(text)


def test_the_id_of_the_empty_file_is_known() -> None:
    assert EMPTY_FILE_ID == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_keyed_id_is_the_base32_of_the_keys_digest() -> None:
    # `head -c 32 /dev/zero | sha256sum`, its bytes through `base32`.
    assert KEYED == "mzuhvlpymk6xo3epygfy5h4oeaejofefn3rdhm4qfjmr2dk7fesq"


@given(st.binary(min_size=32, max_size=32))
def test_a_keyed_id_has_the_keyed_form_and_cannot_be_chosen(key: bytes) -> None:
    peer_id = keyed_peer_id(key)
    assert len(peer_id) == 52
    assert is_keyed_form(peer_id)
    assert not is_chosen_peer_id(peer_id)


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
def test_two_keys_have_two_ids(one: bytes, other: bytes) -> None:
    assert (keyed_peer_id(one) == keyed_peer_id(other)) == (one == other)


@pytest.mark.parametrize("text", [KEYED.upper(), KEYED[:-1], KEYED + "a", KEYED + "\n", "0" + KEYED[1:], "1" * 52, ""])
def test_what_differs_in_form_is_not_keyed(text: str) -> None:
    assert not is_keyed_form(text)


@pytest.mark.parametrize("text", ["a", "peer-1", "Peer_2.local", "0" * 64, KEYED.upper(), KEYED[:-1]])
def test_short_words_may_be_chosen(text: str) -> None:
    assert is_chosen_peer_id(text)


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a/b", "../a", "a\n", "a\0", "é", "<b>", "a:1", "a%20"])
def test_what_could_mean_something_elsewhere_may_not_be_chosen(text: str) -> None:
    assert not is_chosen_peer_id(text)
