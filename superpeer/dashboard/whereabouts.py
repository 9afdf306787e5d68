"""Where the pages are: for the person who started the super-peer in a terminal, and for others."""

import socket

from common.http.addresses import Profile, canonical, is_forbidden, url_host

# Where a way out of this machine may lead: the Internet, or the networks that have no such way.
BEYOND = ("192.0.2.1", "192.168.255.254", "10.255.255.254", "172.31.255.254")


def whereabouts(address: str, port: int, profile: Profile) -> str:
    """Where the dashboard is: for this machine and, if all interfaces are listened on, for others."""
    everywhere = canonical(address.partition("%")[0]).is_unspecified
    own = f"Dashboard: http://{url_host('127.0.0.1' if everywhere else address)}:{port}/"
    others = own_address(profile) if everywhere else ""
    return f"{own} (for others: http://{others}:{port}/)" if others else own


def own_address(profile: Profile) -> str:
    """This machine's IPv4 address for others, as the system chooses it; empty when none fits. Nothing is sent."""
    for target in BEYOND:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            found = canonical(probe.getsockname()[0])
            if not found.is_loopback and not is_forbidden(found, profile):
                return str(found)
    return ""
