"""Who may call, told by the Host and Origin headers (see "Who may call" in the protocol's documents).

A page of another site that rebound its name to this machine is known by its Host alone, any other by its Origin.
Without an Origin it is a program or a plain navigation.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import hdrs, web
from multidict import istr

from common import errors
from common.http.addresses import Network, canonical, client_scheme

SAFE = frozenset({"GET", "HEAD"})
FOREIGN = web.RequestKey("foreign", bool)
TRUSTED_PROXIES: web.AppKey[Sequence[Network]] = web.AppKey("trusted_proxies")
FETCH_SITE = istr("Sec-Fetch-Site")
MAX_ACCEPTED = 256

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,255}))(?::([0-9]{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Content-Type, If-None-Match, If-Range, Range",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = {
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Repr-Digest, "
    "Retry-After, X-Request-ID, X-Total-Count, X-Total-Exact"
}


class Authority(NamedTuple):
    """A Host header, read: `host` in lower case without a trailing dot, `port` None for the scheme's own."""

    host: str
    port: int | None
    literal: bool


class Origin(NamedTuple):
    """A web origin."""

    scheme: str
    host: str
    port: int


class Call(NamedTuple):
    """What of a request decides whether its origin may make it; `scheme` is what the browser sees."""

    method: str
    path: str
    own: Authority
    scheme: str = "http"
    origins: Sequence[str] = ()
    websocket: bool = False
    fetch_site: str | None = None
    preflight_for: str | None = None


class Verdict(NamedTuple):
    """The call may be made. `foreign`: anonymously, whatever cookie it brings. `headers` belong on the answer."""

    foreign: bool
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Callers:
    """The rules of one daemon.

    `names` are the host names it answers to, beside IP literals. Of foreign origins, those in `readers` (None: all) may
    read paths that begin with one of `public`, and any may open a WebSocket on `sockets`. Their other reads are refused
    or, where `pages` is on, answered without permission to look at the answer; their writes are always refused.
    """

    names: frozenset[str]
    readers: frozenset[Origin] | None
    public: tuple[str, ...]
    sockets: frozenset[str] = frozenset()
    pages: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    _accepted: dict[str, Authority] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self, request: web.Request) -> dict[str, str]:
        """Headers for the answer to a request that may be made; marks a foreign one (see `is_foreign`).

        Raises Invalid or Misdirected for its Host, Forbidden for its Origin.
        """
        headers = request.headers
        own = self.check_host(headers.getall(hdrs.HOST, ()))
        if hdrs.ORIGIN not in headers and (request.method in SAFE or FETCH_SITE not in headers):
            return {}
        verdict = self.origin_verdict(self._call(request, own))
        if verdict.foreign:
            request[FOREIGN] = True
        return verdict.headers

    def check_host(self, values: Sequence[str]) -> Authority:
        """The one Host header, if it names this daemon. Raises Invalid (none or several) or Misdirected."""
        if len(values) != 1:
            raise errors.Invalid("bad_request", "Send exactly one Host header.")
        known = self._accepted.get(values[0])
        if known is not None:
            return known
        authority = read_authority(values[0])
        if authority is None or not (authority.literal or authority.host in self.names):
            raise errors.Misdirected(
                "host_not_allowed",
                "This daemon answers to its addresses, its own names and those in allowed_hosts.",
            )
        if len(self._accepted) >= MAX_ACCEPTED:
            self._accepted.clear()
        self._accepted[values[0]] = authority
        return authority

    def origin_verdict(self, call: Call) -> Verdict:
        """Whether a call may be made, its Host being accepted. Raises Forbidden."""
        if not call.origins:
            if call.method not in SAFE and call.fetch_site not in (None, "same-origin", "none"):
                raise _refused()
            return Verdict(False, {})
        origin = read_origin(call.origins[0]) if len(call.origins) == 1 else None
        if origin == _own_origin(call):
            return Verdict(False, {})
        if call.websocket:
            if call.path in self.sockets:
                return Verdict(True, {})
            raise _refused()
        return self._foreign(call, origin)

    def _foreign(self, call: Call, origin: Origin | None) -> Verdict:
        may_read = (self.readers is None or origin in self.readers) and call.path.startswith(self.public)
        if call.method == "OPTIONS":
            if may_read and (call.preflight_for or "GET") in SAFE:
                return Verdict(True, {**self._permission(call), **_PREFLIGHT})
        elif call.method in SAFE and may_read:
            return Verdict(True, {**self._permission(call), **_EXPOSED})
        elif call.method in SAFE and self.pages:
            return Verdict(True, {})
        raise _refused()

    def _permission(self, call: Call) -> dict[str, str]:
        if self.readers is None:
            return {"Access-Control-Allow-Origin": "*"}
        return {"Access-Control-Allow-Origin": call.origins[0], "Vary": "Origin"}

    def _call(self, request: web.Request, own: Authority) -> Call:
        headers = request.headers
        return Call(
            method=request.method,
            path=request.path,
            own=own,
            scheme=client_scheme(
                request.remote or "", request.scheme, headers.get(hdrs.X_FORWARDED_PROTO), self.trusted_proxies
            ),
            origins=headers.getall(hdrs.ORIGIN, ()),
            websocket=headers.get(hdrs.UPGRADE, "").lower() == "websocket",
            fetch_site=headers.get(FETCH_SITE),
            preflight_for=headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD),
        )


def super_peer_callers(
    names: Iterable[str],
    *,
    public: tuple[str, ...] = ("/api/v1/",),
    sockets: Iterable[str] = ("/ws",),
    trusted_proxies: tuple[Network, ...] = (),
) -> Callers:
    """A super-peer's rules: any page may read its public API and listen, none but its own may write."""
    return Callers(
        names=_with_localhost(names),
        readers=None,
        public=public,
        sockets=frozenset(sockets),
        pages=True,
        trusted_proxies=trusted_proxies,
    )


def peer_callers(names: Iterable[str], super_peer_origins: Iterable[str]) -> Callers:
    """A peer's rules: pages of its super-peer may fetch files, all others nothing."""
    found = (read_origin(origin) for origin in super_peer_origins)
    return Callers(
        names=_with_localhost(names),
        readers=frozenset(origin for origin in found if origin is not None),
        public=("/api/v1/download/", "/api/v1/manifest/", "/api/v1/have/"),
    )


def own_names(hostname: str, allowed_hosts: Iterable[str] = ()) -> frozenset[str]:
    """The names of a machine called `hostname`, its mDNS name among them, and what its operator added."""
    first = hostname.partition(".")[0]
    names = (hostname, first, f"{first}.local") if first else ()
    read = (read_authority(name) for name in (*names, *allowed_hosts))
    return frozenset(authority.host for authority in read if authority is not None)


def scheme_of(request: web.Request) -> str:
    """`http` or `https` as the asker sees it."""
    forwarded = request.headers.get(hdrs.X_FORWARDED_PROTO)
    return client_scheme(request.remote or "", request.scheme, forwarded, request.app.get(TRUSTED_PROXIES, ()))


def is_foreign(request: web.Request) -> bool:
    """True for a request that a page of another origin makes: it is anonymous, whatever cookie it brings."""
    return request.get(FOREIGN) is True


def read_authority(text: str) -> Authority | None:
    """A Host header's `host[:port]`; None when it is not one."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    bracketed, name, digits = match.groups()
    port = int(digits) if digits else None
    if (port is not None and not 0 < port < 65536) or (bracketed and ":" not in bracketed):
        return None
    try:
        return Authority(str(canonical(bracketed or name)), port, literal=True)
    except ValueError:
        return Authority(name.lower().removesuffix("."), port, literal=False) if name else None


def read_origin(text: str) -> Origin | None:
    """An Origin header; None for `null` and whatever is not an http origin."""
    match = _ORIGIN.fullmatch(text)
    authority = read_authority(match[2]) if match else None
    if match is None or authority is None:
        return None
    return Origin(match[1], authority.host, authority.port or _DEFAULT_PORTS[match[1]])


def _own_origin(call: Call) -> Origin:
    return Origin(call.scheme, call.own.host, call.own.port or _DEFAULT_PORTS.get(call.scheme, 0))


def _with_localhost(names: Iterable[str]) -> frozenset[str]:
    return frozenset({"localhost", *names})


def _refused() -> errors.Forbidden:
    return errors.Forbidden("origin_not_allowed", "A page of another site may not do this here.")
