"""The command `superpeer`: reads its flags and configuration, runs, and ends with 0, or 2 when it cannot start."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from common.http.addresses import Profile, canonical, is_forbidden, profile_of, url_host
from common.http.serve import Daemon, run
from common.runtime.logs import configure_logging
from common.runtime.obstacles import StartError, in_words
from common.runtime.settings import ConfigError, load_config

FAILED_TO_START = 2
# Where a way out of this machine may lead: the Internet, or the networks that have no such way.
BEYOND = ("192.0.2.1", "192.168.255.254", "10.255.255.254", "172.31.255.254")


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="superpeer",
        description="The meeting point of a Shoal network: knows the peers and their files, and answers searches.",
        epilog="Without --host or --lan only this machine can reach it. Settings come from config.yaml, "
        "the environment (SUPERPEER_PORT and so on) and these flags, the later over the earlier.",
    )
    made.add_argument("--config", metavar="FILE", help="configuration file (default: ./config.yaml, if there is one)")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--host", metavar="ADDR", help="address to listen on (default: 127.0.0.1)")
    where.add_argument("--lan", action="store_const", const="::", dest="host", help="listen on all interfaces")
    made.add_argument("--port", metavar="N", help="port to listen on (default: 8080)")
    made.add_argument("--data", metavar="DIR", help="folder of its database (default: ./data/superpeer)")
    made.add_argument("-v", "--verbose", action="store_true", help="log every request")
    made.add_argument("--version", action="store_true", help="print the version and end")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a super-peer until it is told to stop."""
    given = parser().parse_args(arguments)
    if given.version:
        from importlib.metadata import version

        print(f"superpeer {version('shoal')}")  # noqa: T201, it is the answer
        return 0
    flags = {f"super_peer.{name}": getattr(given, name) for name in ("host", "port", "data")}
    flags["logging.level"] = "debug" if given.verbose else None
    try:
        loaded = load_config(given.config, os.environ, flags, daemon="super_peer")
        configure_logging(loaded.config.logging)
        for warning in loaded.warnings:
            logging.getLogger("shoal.config").warning(warning)
        # Imported here, so that a wrong flag is answered at once.
        import uvloop

        from common.database.sqlite import DatabaseUnusable
        from superpeer.app import SuperPeer
    except ConfigError as error:
        return _cannot_start(error)
    settings = loaded.config.super_peer
    try:
        # Small messages are what uvloop is quickest at; a peer, which sends files, keeps the standard loop and its
        # sendfile.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            profile = profile_of(settings.host, loaded.config.security.profile)
            runner.run(run(Announced(SuperPeer(loaded.config), profile), settings.host, settings.port))
    except (StartError, DatabaseUnusable, OSError) as error:
        return _cannot_start(in_words(error, Path(settings.data)))
    return 0


class Announced:
    """A daemon that, on a terminal, tells the person who started it where its pages are; the log is for programs."""

    def __init__(self, daemon: Daemon, profile: Profile) -> None:
        self.app, self.limits = daemon.app, daemon.limits
        self.open, self.stopping, self.close = daemon.open, daemon.stopping, daemon.close
        self._daemon = daemon
        self._profile = profile

    async def listening(self, address: str, port: int) -> None:
        await self._daemon.listening(address, port)
        if sys.stderr.isatty():
            sys.stderr.write(f"{whereabouts(address, port, self._profile)}\n")


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


def _cannot_start(why: object) -> int:
    print(f"superpeer: {why}", file=sys.stderr)  # noqa: T201, for whoever started it
    return FAILED_TO_START


if __name__ == "__main__":
    sys.exit(main())
