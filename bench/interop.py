"""Other programs fetch from a real network: aria2c by the Metalink, libtorrent by the torrent, curl after a stop.

Each file that they leave is compared with the one that was shared. `make interop` installs libtorrent in a folder of
its own under build/; aria2c and curl are the system's.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from bench.daemons import Missing, ask, peer, super_peer, tool, wait_until_indexed
from bench.report import line

SIZE = 64 * 1024 * 1024 + 12_345
NAMES = ("one", "two", "three", "four")
PATIENCE = 120.0


def run(folder: Path) -> None:
    """Raises Missing for a program that is not there, RuntimeError when one does not get the file."""
    content = os.urandom(SIZE)
    file_id = hashlib.sha256(content).hexdigest()
    with ExitStack() as stack:
        hub = stack.enter_context(super_peer(folder))[0]
        for name in NAMES:
            shared = folder / "shares" / name
            shared.mkdir(parents=True)
            (shared / f"{name} & <others>.bin").write_bytes(content)
            url = stack.enter_context(peer(folder, hub, shared, name=name))[0]
            wait_until_indexed(hub, url, folder / name)
        sources = ask(f"{hub}/api/v1/files/{file_id}/sources")
        claim("sources", f"{len(sources)}", len(sources) == len(NAMES))
        by_metalink(folder, f"{hub}/api/v1/files/{file_id}.meta4", file_id)
        by_torrent(folder, f"{hub}/api/v1/files/{file_id}.torrent", file_id)
        by_curl(folder, f"{hub}/api/v1/download/{file_id}", content, file_id)


def claim(name: str, value: str, holds: bool) -> None:
    line(f"  {name}", value, "", holds)
    if not holds:
        raise RuntimeError(f"{name}: {value}")


def fetched(url: str) -> bytes:
    """The document, once it is there."""
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() - began > PATIENCE:
                raise
            time.sleep(float(error.headers["Retry-After"]))


def served(folder: Path) -> dict[str, int]:
    """How many bytes each peer has sent since its start."""
    found = {}
    for name in NAMES:
        log = (folder / f"{name}.log").read_text().splitlines()
        port = next(json.loads(text)["port"] for text in log if '"listening"' in text)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found[name] = next(
            int(float(row.split()[1])) for row in text.splitlines() if row.startswith("shoal_peer_upload_bytes_total ")
        )
    return found


def by_metalink(folder: Path, url: str, file_id: str) -> None:
    """aria2c, as it takes a Metalink: a part from each source, and the hash checked."""
    aria2c = tool("aria2c", "aria2")
    document, target = folder / "x.meta4", folder / "by-metalink"
    document.write_bytes(fetched(url))
    before, began = served(folder), time.monotonic()
    command = [aria2c, "--no-conf", "--check-integrity=true", "-x8", "-s8", "-k1M", "--file-allocation=none"]
    command += ["--metalink-file", str(document), "--dir", str(target), "--max-tries=3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    used = [name for name, count in served(folder).items() if count > before[name]]
    claim("aria2c by the Metalink", f"{time.monotonic() - began:.1f} s, exit {ran.returncode}", ran.returncode == 0)
    claim("  the file is right", "", only_file(target) == file_id)
    claim("  every source served a part", ", ".join(used), len(used) == len(NAMES))
    document.write_bytes(document.read_bytes().replace(file_id[:8].encode(), b"0" * 8, 1))
    command[command.index(str(target))] = str(folder / "by-wrong-metalink")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    claim("  a wrong hash is seen", f"exit {ran.returncode}", ran.returncode != 0)


def by_torrent(folder: Path, url: str, file_id: str) -> None:
    """libtorrent, with nothing but the web seeds: no DHT, no local discovery, no other peers."""
    document, target = folder / "x.torrent", folder / "by-torrent"
    document.write_bytes(fetched(url))
    target.mkdir()
    before, began = served(folder), time.monotonic()
    command = [sys.executable, "-m", "bench.interop", str(document), str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE)
    if ran.returncode == MISSING:
        raise Missing("libtorrent is not installed (run it as `make interop`); skipped")
    used = [name for name, count in served(folder).items() if count > before[name]]
    told = ran.stdout.strip() or ran.stderr.strip()[-300:]
    claim("libtorrent by the torrent", f"{time.monotonic() - began:.1f} s, {told}", ran.returncode == 0)
    claim("  the file is right", "", only_file(target) == file_id)
    claim("  web seeds that served", ", ".join(used), bool(used))


def by_curl(folder: Path, url: str, content: bytes, file_id: str) -> None:
    """curl, which goes on where a part of the file ends."""
    target = folder / "by-curl" / "x.bin"
    target.parent.mkdir()
    target.write_bytes(content[: SIZE // 3])
    command = [tool("curl", "curl"), "-fsSL", "-C", "-", "-o", str(target), url]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    claim("curl -C - after a third", f"exit {ran.returncode}{ran.stderr}", ran.returncode == 0)
    claim("  the file is right", "", only_file(target.parent) == file_id)


def only_file(folder: Path) -> str:
    """The SHA-256 of the one file in a folder."""
    (path,) = [path for path in folder.rglob("*") if path.is_file()]
    return hashlib.sha256(path.read_bytes()).hexdigest()


MISSING = 3


def leech(document: str, target: str) -> int:
    """Takes a torrent to its end, from its web seeds alone; in a process of its own."""
    try:
        import libtorrent
    except ImportError:
        return MISSING
    off = ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp", "enable_incoming_tcp", "enable_incoming_utp")
    # Web seeds on this very machine are what it is about; libtorrent mistrusts them otherwise.
    settings = dict.fromkeys((*off, "ssrf_mitigation"), False) | {"listen_interfaces": "127.0.0.1:0"}
    session = libtorrent.session(settings)
    info = libtorrent.torrent_info(document)
    handle = session.add_torrent({"ti": info, "save_path": target})
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        status = handle.status()
        if status.is_seeding:
            print(f"{info.num_pieces()} pieces, private {info.priv()}, version {libtorrent.version}")
            return 0
        time.sleep(0.1)
    print(f"stopped at {status.progress:.0%}: {status.errc.message()}")
    return 1


if __name__ == "__main__":
    sys.exit(leech(*sys.argv[1:]))
