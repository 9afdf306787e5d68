"""Serving 2 GiB over loopback to curl, one stream and eight ranges at one time, beside nginx with sendfile: bytes a
second and processor time a gigabyte."""

import os
import subprocess
import time
from pathlib import Path

from bench.daemons import ask, cpu_seconds, free_port, peer, running, super_peer, tool, wait_for
from bench.report import line, median, paired, ratio, title

SIZE = 2 * 1024**3
ROUNDS = 9
RANGES = 8
BLOCK = 64 << 20
SERVERS, READER = 0, 1  # the cores that they keep to

NGINX = """
daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


def run(folder: Path, size: int = SIZE) -> None:
    """Prints the figures."""
    nginx, curl = tool("nginx", "nginx-light"), tool("curl", "curl")
    root = folder / "share"
    root.mkdir()
    with (root / "large.bin").open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(os.urandom(1 << 20) * (BLOCK >> 20))
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, root=root))
    with (
        super_peer(folder) as (hub, _),
        peer(folder, hub, root) as (ours_url, ours_process),
        running(nginx, "-c", str(config), log=folder / "nginx.log") as theirs_process,
    ):
        theirs_url = f"http://127.0.0.1:{port}/large.bin"
        wait_for(f"http://127.0.0.1:{port}/", any_answer=True)
        ours_url = f"{ours_url}/api/v1/download/{shared_id(ours_url)}"
        for server in (ours_process, theirs_process):
            keep_to(SERVERS, server)
        title(f"Serving {size / 2**30:g} GiB to curl (loopback, page cache warm; servers on one core, curl on another)")
        for ranges in (1, RANGES):
            line("one stream" if ranges == 1 else f"{ranges} ranges at one time", "", "")
            compare(
                Reading(curl, ours_url, ours_process, size // BLOCK * BLOCK, ranges),
                Reading(curl, theirs_url, theirs_process, size // BLOCK * BLOCK, ranges),
            )


def keep_to(core: int, server: "subprocess.Popen[bytes]") -> None:
    """All its threads: who shares a core with whom would decide more than how either of them works."""
    for thread in Path(f"/proc/{server.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def shared_id(url: str) -> str:
    """The id of the one file, once the peer has hashed it."""
    while not (files := ask(f"{url}/api/v1/files")):
        time.sleep(0.2)
    return str(files[0]["id"])


class Reading:
    """curl reads all of `url` in so many ranges at one time; `cpu`: the server's processor time a gigabyte."""

    def __init__(self, curl: str, url: str, server: "subprocess.Popen[bytes]", size: int, ranges: int) -> None:
        self.server = server
        self.size = size
        self.cpu: list[float] = []
        each = size // ranges
        parts = [["-sf", "-r", f"{n * each}-{n * each + each - 1}", "-o", "/dev/null", url] for n in range(ranges)]
        if ranges == 1:
            parts = [["-sf", "-o", "/dev/null", url]]
        self.command = [tool("taskset", "util-linux"), "-c", str(READER), curl, "-Z", "--parallel-immediate"]
        self.command += [word for part in parts for word in ("--next", *part)][1:]

    def __call__(self) -> float:
        """Seconds."""
        before = cpu_seconds(self.server)
        began = time.perf_counter()
        subprocess.run(self.command, check=True, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - began
        self.cpu.append((cpu_seconds(self.server) - before) / (self.size / 1e9))
        return took


def compare(ours: Reading, theirs: Reading) -> None:
    """Prints the figures of both."""
    took = paired(ROUNDS, ours, theirs)
    line("  ours", f"{ours.size / median(took[0]) / 1e9:.2f} GB/s", "")
    line("  nginx, sendfile", f"{ours.size / median(took[1]) / 1e9:.2f} GB/s", "")
    reached = ratio(took[1], took[0])
    line("  ratio", f"{reached:.2f}", "at least 0.97", reached >= 0.97)
    line("  processor time: ours", f"{median(ours.cpu):.3f} s/GB", "")
    line("  processor time: nginx", f"{median(theirs.cpu):.3f} s/GB", "")
    costs = median(ours.cpu) / median(theirs.cpu)
    line("  ratio", f"{costs:.2f}", "at most 1.10", costs <= 1.1)
