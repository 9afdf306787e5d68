"""Heartbeats a second, against a bare aiohttp handler that parses the same JSON."""

import re
import subprocess
import sys
from pathlib import Path

from bench.daemons import ask, free_port, running, super_peer, tool, wait_for
from bench.report import line, median, paired, ratio, title

ROUNDS = 7
SECONDS = 3
CONNECTIONS = 16
LOAD = '{"active_uploads":0,"upload_slots":16,"upload_rate":0}'
BODY = '{"catalogue_id":"0123456789abcdef","catalogue_version":1,"load":' + LOAD + "}"


def run(folder: Path) -> None:
    """Prints the figure."""
    title("Heartbeats (one process, wrk, 16 connections)")
    wrk = tool("wrk", "wrk")
    port = free_port()
    with (
        super_peer(folder) as (url, _),
        running(sys.executable, "-m", "bench.bare", str(port), log=folder / "bare.log"),
    ):
        bare = f"http://127.0.0.1:{port}"
        token = ask(f"{url}/api/v1/peers/register", {"port": 9001, "id": "bench"})["token"]
        script = folder / "heartbeat.lua"
        script.write_text(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\nwrk.headers["X-Peer-ID"] = "bench"\n'
            f'wrk.headers["Authorization"] = "Bearer {token}"\nwrk.body = \'{BODY}\'\n'
        )
        wait_for(bare, any_answer=True)
        ours, theirs = paired(ROUNDS, lambda: rate(wrk, script, url), lambda: rate(wrk, script, bare))
    reached = ratio(ours, theirs)
    line("ours", f"{median(ours):,.0f}/s", "")
    line("bare aiohttp handler", f"{median(theirs):,.0f}/s", "")
    line("ratio", f"{reached:.2f}", "at least 0.80", reached >= 0.80)


def rate(wrk: str, script: Path, url: str) -> float:
    """Requests a second, all of which succeeded."""
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-s", str(script), f"{url}/api/v1/peers/heartbeat"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told:
        raise RuntimeError(f"some heartbeats failed:\n{told}")
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
