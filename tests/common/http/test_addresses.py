from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.http.addresses import (
    Profile,
    Reach,
    canonical,
    client_address,
    client_scheme,
    is_forbidden,
    is_loopback_host,
    networks,
    profile_of,
    reach,
    source_allowed,
    url_host,
)

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))

NOT_CANONICAL = [
    "",
    " 127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1\n",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.000.000.001",
    "2130706433",
    "017700000001",
    "１２７.0.0.1",
    "127。0。0。1",
    "127.0.0.1.",
    "127.0.0.1:80",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "::1%lo",
    "2001:4860:4860::8888%eth0",
    "::ffff:127.0.0.1%1",
    "fe80::1%",
    "fe80::1%eth0/../x",
    "fe80::1%an-interface-name-that-is-too-long",
    "localhost",
    "example.org",
    "127.0.0.1/8",
    "\x00",
]


@pytest.mark.parametrize("text", NOT_CANONICAL)
def test_only_canonical_literals_are_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        canonical(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("::1", IPv6Address("::1")),
        ("::ffff:127.0.0.1", IPv4Address("127.0.0.1")),
        ("::ffff:7f00:1", IPv4Address("127.0.0.1")),
        ("0:0:0:0:0:FFFF:10.0.0.1", IPv4Address("10.0.0.1")),
        ("fe80::1%eth0", IPv6Address("fe80::1%eth0")),
        ("2002:7f00:1::", IPv6Address("2002:7f00:1::")),
    ],
)
def test_a_literal_is_read_and_a_mapped_one_unwrapped(text: str, address: object) -> None:
    assert canonical(text) == address


@given(ADDRESSES)
def test_what_an_address_prints_is_read_back(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert canonical(str(address)) == (mapped or address)


@given(st.text(max_size=50))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = canonical(text)
    except ValueError:
        return
    assert text.isascii() and ip_address(text) is not None and address.version in (4, 6)


NOWHERE = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.5",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fec0::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "4000::1",
]
MULTICAST = ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "::ffff:224.0.0.1"]
CARRIERS = [  # something forbidden inside something that looks global
    "64:ff9b::7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::224.0.0.1",
    "2002:7f00:1::",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, client 127.0.0.1
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo, client 169.254.169.254
]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.2",
    "100.64.0.1",
    "fc00::1",
    "fd12::1",
    "::ffff:10.1.1.1",
]
LINK = ["fe80::1", "fe80::1%eth0", "febf::1"]
GLOBAL = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2001:4860:4860::8888",
    "2606:4700::1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:f7f7:f7f7",  # Teredo, client 8.8.8.8
]


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("text", [*NOWHERE, *MULTICAST, *CARRIERS])
def test_some_addresses_are_forbidden_everywhere(text: str, profile: Profile) -> None:
    assert is_forbidden(ip_address(text), profile)


@pytest.mark.parametrize(
    ("profile", "allowed"),
    [
        (Profile.LOOPBACK, LOOPBACK),
        (Profile.LAN, [*LOOPBACK, *PRIVATE, *LINK]),
        (Profile.PUBLIC, GLOBAL),
    ],
)
def test_a_profile_dials_only_its_surroundings(profile: Profile, allowed: list[str]) -> None:
    everything = [*LOOPBACK, *PRIVATE, *LINK, *GLOBAL]
    assert [text for text in everything if not is_forbidden(ip_address(text), profile)] == allowed


@given(ADDRESSES)
def test_public_is_never_wider_than_the_registries(address: IPv4Address | IPv6Address) -> None:
    if not is_forbidden(address, Profile.PUBLIC):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4), st.sampled_from(Profile))
def test_an_address_is_no_freer_inside_another(inner: IPv4Address, profile: Profile) -> None:
    number = int(inner)
    carriers = [
        IPv6Address((0x0064FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x20010000 << 96) | (0x41360001 << 64) | (number ^ 0xFFFFFFFF)),
        IPv6Address((0x20010000 << 96) | (number << 64) | (0x08080808 ^ 0xFFFFFFFF)),
    ]
    mapped = IPv6Address((0xFFFF << 32) | number)
    assert is_forbidden(mapped, profile) == is_forbidden(inner, profile)
    if is_forbidden(inner, profile):
        assert all(is_forbidden(carrier, profile) for carrier in carriers)


def test_allow_widens_a_profile() -> None:
    allow = networks(["10.0.0.0/8", "127.0.0.1", "::1/128"])
    for text in ("10.9.9.9", "127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert not is_forbidden(ip_address(text), Profile.PUBLIC, allow)
    for text in ("127.0.0.2", "192.168.1.1"):
        assert is_forbidden(ip_address(text), Profile.PUBLIC, allow)


def test_what_is_allowed_is_not_allowed_inside_another_address() -> None:
    # The operator allowed this machine's loopback, not that of a gateway which unwraps.
    allow = networks(["127.0.0.0/8"])
    assert is_forbidden(ip_address("64:ff9b::7f00:1"), Profile.PUBLIC, allow)
    assert is_forbidden(ip_address("2002:7f00:1::"), Profile.PUBLIC, allow)


@pytest.mark.parametrize(
    "text", ["169.254.169.254", "0.0.0.0", "255.255.255.255", "203.0.113.5", "fec0::1", "2001:db8::1"]
)
def test_a_reserved_range_is_allowed_by_name_only(text: str) -> None:
    address = ip_address(text)
    assert is_forbidden(address, Profile.LAN, networks(["0.0.0.0/0", "::/0"]))
    assert is_forbidden(address, Profile.LAN, networks(["128.0.0.0/1", "0.0.0.0/1", "f000::/4", "2000::/3"]))
    assert not is_forbidden(address, Profile.LAN, networks([text]))


def test_multicast_is_never_allowed() -> None:
    assert is_forbidden(ip_address("224.0.0.1"), Profile.LAN, networks(["224.0.0.0/4"]))
    assert is_forbidden(ip_address("ff02::1"), Profile.LAN, networks(["ff02::1"]))
    assert is_forbidden(ip_address("::ffff:224.0.0.1"), Profile.LAN, networks(["::/0", "224.0.0.1"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("100.64.0.1", Reach.PRIVATE),
        ("fe80::1", Reach.LINK),
        ("1.1.1.1", Reach.GLOBAL),
        ("::ffff:169.254.169.254", Reach.NOWHERE),
    ],
)
def test_reach(text: str, expected: Reach) -> None:
    assert reach(ip_address(text)) is expected


@given(ADDRESSES)
def test_every_address_has_a_reach(address: IPv4Address | IPv6Address) -> None:
    assert reach(address) in Reach


@pytest.mark.parametrize(
    ("profile", "served", "refused"),
    [
        (Profile.LOOPBACK, LOOPBACK, [*PRIVATE, *LINK, *GLOBAL]),
        (Profile.LAN, [*LOOPBACK, *PRIVATE, *LINK], [*GLOBAL, "203.0.113.5"]),
        (Profile.PUBLIC, [*LOOPBACK, *PRIVATE, *LINK, *GLOBAL], []),
    ],
)
def test_a_profile_serves_only_its_surroundings(profile: Profile, served: list[str], refused: list[str]) -> None:
    assert all(source_allowed(ip_address(text), profile) for text in served)
    assert not any(source_allowed(ip_address(text), profile) for text in refused)


def test_allow_widens_what_is_served() -> None:
    assert source_allowed(ip_address("8.8.8.8"), Profile.LAN, networks(["8.8.8.0/24"]))


@pytest.mark.parametrize(
    ("bind", "configured", "profile"),
    [
        ("127.0.0.1", None, Profile.LOOPBACK),
        ("127.0.0.1", "auto", Profile.LOOPBACK),
        ("::1", None, Profile.LOOPBACK),
        ("localhost", None, Profile.LOOPBACK),
        ("0.0.0.0", None, Profile.LAN),
        ("::", None, Profile.LAN),
        ("", None, Profile.LAN),
        ("192.168.1.5", "auto", Profile.LAN),
        ("8.8.8.8", None, Profile.LAN),
        ("files.example.org", None, Profile.LAN),
        ("0.0.0.0", "public", Profile.PUBLIC),
        ("127.0.0.1", "public", Profile.PUBLIC),
        ("127.0.0.1", "lan", Profile.LAN),
    ],
)
def test_the_profile_follows_the_bind_unless_configured(bind: str, configured: str | None, profile: Profile) -> None:
    assert profile_of(bind, configured) is profile


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError):
        profile_of("127.0.0.1", "wan")


@pytest.mark.parametrize(("host", "is_it"), [("LOCALHOST", True), ("::1", True), ("10.0.0.1", False), ("x", False)])
def test_loopback_hosts(host: str, is_it: bool) -> None:
    assert is_loopback_host(host) is is_it


PROXIES = networks(["10.0.0.0/8", "127.0.0.1", "::1"])


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),  # not a proxy of ours: not believed
        ("203.0.113.9", None, "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the left one is the caller's own invention
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),  # all are proxies: the farthest
        ("10.0.0.1", "evil, 1.2.3.4", "1.2.3.4"),  # junk left of the answer does not matter
        ("10.0.0.1", "1.2.3.4, evil", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4:5678", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, 10.0.0.2, unknown", "10.0.0.1"),
        ("10.0.0.1", ",", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
        ("::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("::ffff:9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("::1", "1.2.3.4", "1.2.3.4"),
        ("", "1.2.3.4", ""),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_proxy(remote: str, forwarded: str | None, client: str) -> None:
    assert client_address(remote, forwarded, PROXIES) == client


@given(ADDRESSES.map(str), st.text(max_size=80))
def test_without_proxies_nothing_forwarded_counts(remote: str, forwarded: str) -> None:
    assert client_address(remote, forwarded, ()) == client_address(remote, None, ())


@given(st.text(alphabet="0123456789.,: af%x", max_size=80))
def test_what_is_forwarded_becomes_an_address_or_nothing(forwarded: str) -> None:
    canonical(client_address("10.0.0.1", forwarded, PROXIES))


@pytest.mark.parametrize(
    ("remote", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, HTTPS", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("10.0.0.1", None, "http"),
        ("9.9.9.9", "https", "http"),
        ("", "https", "http"),
    ],
)
def test_the_scheme_is_what_a_trusted_proxy_says(remote: str, said: str | None, scheme: str) -> None:
    assert client_scheme(remote, "http", said, PROXIES) == scheme
    assert client_scheme(remote, "http", said, ()) == "http"


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("fe80::1%eth0", "[fe80::1%eth0]")],
)
def test_url_host_brackets_ipv6(address: str, host: str) -> None:
    assert url_host(address) == host
    assert url_host(ip_address(address)) == host
