"""Serving 2 GiB over loopback to curl, beside nginx with sendfile: bytes a second and processor time a gigabyte."""

import os
import subprocess
import time
from pathlib import Path

from bench.daemons import ask, cpu_seconds, free_port, peer, running, super_peer, tool, wait_for
from bench.report import line, median, paired, ratio, title

SIZE = 2 * 1024**3
ROUNDS = 9
SERVERS, READER = 0, 1  # the cores that they keep to

NGINX = """
daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""


def run(folder: Path) -> None:
    """Prints the figures."""
    title("Serving 2 GiB to curl (one stream, loopback, page cache warm; servers on one core, curl on another)")
    nginx, curl = tool("nginx", "nginx-light"), tool("curl", "curl")
    root = folder / "share"
    root.mkdir()
    with (root / "large.bin").open("wb") as file:
        for _ in range(SIZE // (64 << 20)):
            file.write(os.urandom(1 << 20) * 64)
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
        # Who shares a core with whom would decide more than how either of them works.
        for server in (ours_process, theirs_process):
            os.sched_setaffinity(server.pid, {SERVERS})
        cpu: tuple[list[float], list[float]] = ([], [])
        ours, theirs = paired(
            ROUNDS,
            lambda: fetched(curl, ours_url, ours_process, cpu[0]),
            lambda: fetched(curl, theirs_url, theirs_process, cpu[1]),
        )
    line("ours", f"{SIZE / median(ours) / 1e9:.2f} GB/s", "")
    line("nginx, sendfile", f"{SIZE / median(theirs) / 1e9:.2f} GB/s", "")
    reached = ratio(theirs, ours)
    line("ratio", f"{reached:.2f}", "at least 0.95", reached >= 0.95)
    line("processor time: ours", f"{median(cpu[0]):.3f} s/GB", "")
    line("processor time: nginx", f"{median(cpu[1]):.3f} s/GB", "")
    costs = median(cpu[0]) / median(cpu[1])
    line("ratio", f"{costs:.2f}", "at most 1.20", costs <= 1.2)


def shared_id(url: str) -> str:
    """The id of the one file, once the peer has hashed it."""
    while not (files := ask(f"{url}/api/v1/files")):
        time.sleep(0.2)
    return str(files[0]["id"])


def fetched(curl: str, url: str, server: "subprocess.Popen[bytes]", cpu: list[float]) -> float:
    """Seconds that curl takes to read it all; notes the server's processor time a gigabyte."""
    before = cpu_seconds(server)
    began = time.perf_counter()
    subprocess.run([tool("taskset", "util-linux"), "-c", str(READER), curl, "-sf", "-o", "/dev/null", url], check=True)
    took = time.perf_counter() - began
    cpu.append((cpu_seconds(server) - before) / (SIZE / 1e9))
    return took
