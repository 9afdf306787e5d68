"""As whom somebody is counted."""

import pytest

from peer.uploads.askers import Asker, asker, is_near


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002::/64"),
        ("", ""),
    ],
)
def test_an_address_counts_with_what_one_machine_has_of_them(remote: str, counted: str) -> None:
    assert asker(remote) == Asker(counted, "")


@pytest.mark.parametrize(("name", "heeded"), [("abc-1", "abc-1"), ("", ""), ("a b", ""), ("x" * 65, ""), ("ä", "")])
def test_a_name_that_is_none_is_not_heeded(name: str, heeded: str) -> None:
    assert asker("10.0.0.1", name).name == heeded


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("127.0.0.1", True),
        ("192.168.1.1", True),
        ("fe80::1", True),
        ("fe80:0000:0000:0000::/64", True),
        ("fd00:0001:0002:0003::/64", True),
        ("203.0.113.1", False),
        ("8.8.8.8", False),
        ("2600:1234:0000:0000::/64", False),
        ("", False),
        ("somewhere", False),
    ],
)
def test_which_addresses_are_near(address: str, near: bool) -> None:
    assert is_near(address) is near
