"""The command `superpeer`: reads its flags and configuration, runs, and ends with 0, or 2 when it cannot start."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.http.serve import run
from common.runtime.logs import configure_logging
from common.runtime.obstacles import StartError, in_words
from common.runtime.settings import ConfigError, load_config

FAILED_TO_START = 2


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
            runner.run(run(SuperPeer(loaded.config), settings.host, settings.port))
    except (StartError, DatabaseUnusable, OSError) as error:
        return _cannot_start(in_words(error, Path(settings.data)))
    return 0


def _cannot_start(why: object) -> int:
    print(f"superpeer: {why}", file=sys.stderr)  # noqa: T201, for whoever started it
    return FAILED_TO_START


if __name__ == "__main__":
    sys.exit(main())
