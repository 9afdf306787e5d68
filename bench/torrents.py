"""libtorrent as a process: makes a torrent, has a file, or fetches it; spoken to by lines.

`make TORRENT FILE`; `seed TORRENT FOLDER RATE` and `leech TORRENT FOLDER RATE` print the port that they listen on. A
leech then reads the ports of its peers, fetches from them, and prints the highest of its resident memory above what it
had before. Both go on until their input ends. Its settings are the default ones, but that nothing beyond this machine
is asked, that several peers may have one address, that limits count on this machine too, and that it speaks TCP: over
its own uTP, which it would choose, it is ten times slower on loopback.
"""

import os
import sys
from pathlib import Path
from typing import Any

import libtorrent

from bench.memory import peak, reset_peak, resident

HERE = "127.0.0.1"
ALONE = ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp")
SLOW = ("enable_outgoing_utp", "enable_incoming_utp")


def make(torrent: str, file: str) -> None:
    """A torrent of the first version, whose pieces have a SHA-1 each."""
    files = libtorrent.file_storage()
    libtorrent.add_files(files, file)
    made = libtorrent.create_torrent(files, 0, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(made, str(Path(file).parent))
    Path(torrent).write_bytes(libtorrent.bencode(made.generate()))


def seed(torrent: str, folder: str, rate: str) -> None:
    """Has the file in `folder` and does not check it anew."""
    session = opened(int(rate))
    added(session, torrent, folder, libtorrent.torrent_flags.seed_mode)
    print(session.listen_port(), flush=True)
    sys.stdin.read()


def leech(torrent: str, folder: str, rate: str) -> None:
    """Fetches into `folder`."""
    session = opened(int(rate))
    print(session.listen_port(), flush=True)
    ports = sys.stdin.readline().split()
    before = resident()
    reset_peak()
    handle = added(session, torrent, folder)
    for port in ports:
        handle.connect_peer((HERE, int(port)))
    finish(session)
    print(peak() - before, flush=True)
    sys.stdin.read()


def opened(rate: int) -> Any:
    """A session that gives `rate` bytes a second at most."""
    settings: dict[str, Any] = dict.fromkeys((*ALONE, *SLOW), False)
    settings |= {"listen_interfaces": f"{HERE}:0", "allow_multiple_connections_per_ip": True, "upload_rate_limit": rate}
    session = libtorrent.session(settings | {"alert_mask": libtorrent.alert.category_t.status_notification})
    counted = libtorrent.ip_filter()
    counted.add_rule("0.0.0.0", "255.255.255.255", 1 << session.global_peer_class_id)
    session.set_peer_class_filter(counted)
    return session


def added(session: Any, torrent: str, folder: str, flags: Any = 0) -> Any:
    """The torrent in the session, at work."""
    default = libtorrent.torrent_flags.default_flags
    idle = libtorrent.torrent_flags.paused | libtorrent.torrent_flags.auto_managed
    wanted = {"ti": libtorrent.torrent_info(torrent), "save_path": folder, "flags": (default & ~idle) | flags}
    return session.add_torrent(wanted)


def finish(session: Any) -> None:
    """Returns when all pieces are there and proven, or nobody is left who waits for it."""
    parent = os.getppid()
    while os.getppid() == parent:
        session.wait_for_alert(1000)
        if any(isinstance(alert, libtorrent.torrent_finished_alert) for alert in session.pop_alerts()):
            return


if __name__ == "__main__":
    {"make": make, "seed": seed, "leech": leech}[sys.argv[1]](*sys.argv[2:])
