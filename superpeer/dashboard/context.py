"""What each page of the super-peer shows, as a type, and the pure steps from the index's answers to it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from common.content.names import safe_name
from common.http.addresses import canonical, is_loopback_host, url_host
from common.wire.files import FileInfo, SearchAnswer, Source
from common.wire.peers import NetworkStats, Peer

NEWEST_SHOWN = 10
PEERS_ON_OVERVIEW = 8
PEERS_SHOWN = 500
NAMES_SHOWN = 12
SIZES = (10**5, 10**6, 10**7, 10**8, 10**9, 10**10)
SORTS = (
    ("relevance", "Best match"),
    ("date", "Newest"),
    ("name", "Name"),
    ("size", "Size"),
    ("downloads", "Downloads"),
)
FORM_FIELDS = ("q", "category", "ext", "min_size", "max_size", "sort", "online")
CHIP_FIELDS = ("tag", "peer", "region", "modified_after")
_NARROWEST_SEGMENT = 0.8


class Segment(NamedTuple):
    """A category's piece of the bar, which is 100 wide."""

    name: str
    files: int
    start: float
    width: float


class Chip(NamedTuple):
    """A condition that no control of the form shows, and the address of the search without it."""

    name: str
    value: str
    without: str


class Overview(NamedTuple):
    """overview.html. `peers` are those online first; `elsewhere` is empty when `join_command` works as it stands."""

    stats: NetworkStats
    at_hand: int
    peers: list[Peer]
    namesakes: frozenset[str]
    newest: list[FileInfo]
    segments: list[Segment]
    join_command: str
    elsewhere: str
    peers_shown: int = PEERS_ON_OVERVIEW


class Search(NamedTuple):
    """search.html. `form` has a value for each of FORM_FIELDS; `kept` are the conditions behind `chips`."""

    answer: SearchAnswer
    form: dict[str, str]
    kept: list[tuple[str, str]]
    chips: list[Chip]
    next_url: str
    first_url: str
    sorts: tuple[tuple[str, str], ...] = SORTS
    sizes: tuple[int, ...] = SIZES


class Checker(NamedTuple):
    """What a file is named by, and the command that computes it."""

    title: str
    command: str


class File(NamedTuple):
    """file.html. `sources` are those online, the best first; `names` are those of the peers on the page, by id."""

    file: FileInfo
    sources: list[Source]
    names: Mapping[str, str]
    namesakes: frozenset[str]
    get_command: str
    save_as: str
    checker: Checker
    names_shown: int = NAMES_SHOWN


class Peers(NamedTuple):
    """peers.html. `homes` are the addresses of the peers' own pages, by id."""

    peers: list[Peer]
    homes: Mapping[str, str]
    truncated: bool
    join_command: str
    elsewhere: str


def checker(hash_algorithm: str) -> Checker:
    """How a person checks a file of this network."""
    return Checker("BLAKE3", "b3sum") if hash_algorithm == "blake3" else Checker("SHA-256", "sha256sum")


def segments(counts: Mapping[str, int]) -> list[Segment]:
    """The bar, the largest category first; a category with one file in a million can still be seen."""
    shown = sorted(((count, name) for name, count in counts.items() if count > 0), reverse=True)
    total = sum(count for count, _ in shown)
    wide = [max(_NARROWEST_SEGMENT, 100 * count / total) for count, _ in shown]
    found, start = [], 0.0
    for (count, name), width in zip(shown, wide, strict=True):
        share = 100 * width / sum(wide)
        found.append(Segment(name, count, round(start, 2), round(share, 2)))
        start += share
    return found


def search_context(given: list[tuple[str, str]], answer: SearchAnswer) -> Search:
    """The page for `answer`, where `given` is the query without empty values."""
    lasting = [(name, value) for name, value in given if name != "cursor"]
    conditions = [(name, value) for name, value in lasting if name in CHIP_FIELDS]
    return Search(
        answer=answer,
        form=dict.fromkeys(FORM_FIELDS, "") | {name: value for name, value in lasting if name in FORM_FIELDS},
        kept=conditions + [(name, value) for name, value in lasting if name == "limit"],
        chips=[Chip(name, value, search_url([p for p in lasting if p != (name, value)])) for name, value in conditions],
        next_url=search_url([*lasting, ("cursor", answer.next_cursor)]) if answer.next_cursor else "",
        first_url=search_url(lasting) if len(lasting) < len(given) else "",
    )


def search_url(pairs: list[tuple[str, str]]) -> str:
    """The search page for these conditions."""
    return "/search?" + urlencode(pairs) if pairs else "/search"


def reachable_at(host: str, secure: bool) -> str:
    """HOST:PORT for a command line, from the Host header that a browser sent."""
    has_port = host.rpartition(":")[2].isdigit() and not host.endswith("]")
    return host if has_port else f"{host}:{443 if secure else 80}"


def join_command(address: str) -> str:
    """Starts a peer that joins this super-peer, and that others can reach if they can reach this address."""
    lan = "" if _is_this_machine(address) else "--lan "
    return f"peer run {lan}--super-peer {address} --share DIR"


def elsewhere(address: str) -> str:
    """What to change in a command for a network; empty when nothing."""
    if not _is_this_machine(address):
        return ""
    name = address.rpartition(":")[0]
    return (
        "As it stands it is for this machine alone. For a network start the super-peer and every peer with `--lan`, "
        f"and on other machines put the address of the super-peer's machine in the place of {name}."
    )


def _is_this_machine(address: str) -> bool:
    return is_loopback_host(address.rpartition(":")[0].strip("[]"))


def namesakes(names: Mapping[str, str]) -> frozenset[str]:
    """Of peers' names by id: the ids of those whose name another one bears too."""
    alike = {peer_id: " ".join(name.casefold().split()) for peer_id, name in names.items()}
    times = Counter(alike.values())
    return frozenset(peer_id for peer_id, name in alike.items() if times[name] > 1)


def names_of(peers: Iterable[Peer]) -> dict[str, str]:
    """Peers' names by id."""
    return {peer.id: peer.name for peer in peers}


def home_of(peer: Peer, address: str) -> str:
    """A peer's own page for somebody who reached us at `address`.

    Empty for a program, which need not have one, and for a peer that cannot be dialled.
    """
    try:
        own = canonical(peer.address)
    except ValueError:
        return ""
    if not (peer.verified and peer.direct):
        return ""
    # A peer on this very machine: others reach it where they reached us.
    shared_machine = own.is_loopback and not _is_this_machine(address)
    return f"http://{address.rpartition(':')[0] if shared_machine else url_host(own)}:{peer.port}/"


def save_as(filename: str) -> str:
    """The name to save a file under in a command line, harmless as an argument once it is quoted for the shell."""
    name = safe_name(filename.rpartition("/")[2])
    return f"./{name}" if name.startswith("-") else name
