"""The command `peer`: reads what was typed, does it, and ends with an exit code that programs can rely on.

`run` becomes the daemon; every other command is short and speaks to daemons. What goes wrong is one line on stderr.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from common.errors import Refusal
from common.runtime.config import Config
from common.runtime.kinds import ConfigError
from peer.control.arguments import parser, run_settings
from peer.control.exits import Exit, Stop, stop_of

if TYPE_CHECKING:
    from peer.control.output import Output

Daemon = Callable[[Config, list[str]], int]


def main(daemon: Daemon, arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. `daemon` runs a peer with a configuration and what to warn of."""
    given = parser().parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(given, daemon) if given.command == "run" else _command(given)
    except ConfigError as error:
        return _complain(str(error), Exit.USAGE)
    except KeyboardInterrupt:
        return _complain("Stopped.", Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except OSError as error:
        return _complain(f"{error.filename or 'The system'}: {error.strerror or error}.", Exit.FAILED)


def _run(given: argparse.Namespace, daemon: Daemon) -> int:
    from common.runtime.settings import load_config
    from peer.control.paths import why_not_readable

    loaded = load_config(given.config, os.environ, run_settings(given), daemon="peer")
    for path in given.share or ():
        # What the configuration names may be a disk that is away; what is typed is meant to be there.
        if why := why_not_readable(os.path.expanduser(path)):
            return _complain(why, Exit.USAGE)
    return daemon(loaded.config, loaded.warnings)


def _command(given: argparse.Namespace) -> int:
    from peer.control.output import output_for

    output = output_for(given.json)
    try:
        _do(given, output)
    except Stop as stop:
        output.stopped(stop)
        return _complain(stop.detail, stop.exit_code)
    finally:
        output.close()
    return Exit.DONE


def _do(given: argparse.Namespace, output: "Output") -> None:
    import asyncio

    from peer.control.commands import COMMANDS
    from peer.control.surroundings import Surroundings

    try:
        asyncio.run(COMMANDS[given.command](Surroundings(given, output), given))
    except Refusal as refusal:
        raise stop_of(refusal) from refusal
    except ConfigError as error:
        raise Stop(Exit.USAGE, "config_invalid", str(error)) from error


def _complain(detail: str, exit_code: Exit) -> Exit:
    sys.stderr.write(f"peer: {detail}\n")
    return exit_code
