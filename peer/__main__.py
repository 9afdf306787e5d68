"""The command `peer`, also as `python -m peer`."""

import sys
from collections.abc import Sequence

from common.runtime.config import Config
from peer.control import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return cli.main(run_daemon, arguments)


def run_daemon(config: Config, warnings: list[str]) -> int:
    """Runs a peer until it is told to stop. It is loaded only now: other commands stay light."""
    from peer.app import run

    return run(config, warnings)


if __name__ == "__main__":
    sys.exit(main())
