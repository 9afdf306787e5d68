"""What may be typed after `peer`."""

import argparse
import sys
from collections.abc import Sequence
from os.path import expanduser, isfile
from typing import Any

from common.runtime.kinds import ConfigError, shown

EXAMPLES = """\
examples:
  peer run --share ~/Music --super-peer 192.168.1.5:8080   share a folder with that network
  peer search blue danube                                  what is there
  peer get "blue danube.flac" -o ~/Music                   fetch it, proven; again to go on after a stop
  peer get --from study Music/Strauss/                     a whole folder of the peer called study
  peer downloads                                           what your peer fetches, and what keeps it waiting
  peer limits --upload 2MB/s                               leave some of the line to others
  peer search danube --json | jq -r .id                    one JSON object a line, for programs
  peer share talk.pdf --tag talks && peer ls               what this machine offers

exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 not found, 4 no source online, 5 proof failed,
130 interrupted
"""


class ShowVersion(argparse.Action):
    """Prints the version and ends; it is looked up only when asked for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            known = version("shoal")
        except PackageNotFoundError:
            known = "(not installed)"
        sys.stdout.write(f"peer {known}\n")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The whole command line; options of all commands may stand before or after the command."""
    made = argparse.ArgumentParser(
        prog="peer",
        description="Find, fetch and share the files of a Shoal network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_everywhere()],
    )
    made.set_defaults(peer=None, super_peer=None, data=None, config=None, json=False)
    made.add_argument("--version", action=ShowVersion, nargs=0, help="print the version and end")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _run(commands)
    _search(commands)
    _get(commands)
    _queue(commands)
    _limits(commands)
    _cache(commands)
    _command(commands, "ls", "list what your peer shares")
    _command(commands, "status", "how your peer is doing")
    sharing = _command(commands, "share", "share a file or a folder")
    sharing.add_argument("path", metavar="PATH")
    sharing.add_argument("--tag", metavar="TAG", action="append", default=[], help="a tag to find it by; repeatable")
    _command(commands, "open", "print a link that opens your peer's page for its owner, once")
    unsharing = _command(commands, "unshare", "share a file or a folder no longer")
    unsharing.add_argument("what", metavar="ID|PATH", help="the file's id, as `peer ls` shows it, or what was shared")
    unsharing.add_argument("--delete", action="store_true", help="delete it from this machine, too")
    return made


def _everywhere() -> argparse.ArgumentParser:
    """Options of every command but `run`. Without defaults of their own, lest one place overwrite the other."""
    made = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    made.add_argument("--peer", metavar="HOST:PORT", help="your peer (default: 127.0.0.1:9001, or as configured)")
    made.add_argument(
        "--super-peer", metavar="HOST:PORT", help="the super-peer (default: your peer's, or as configured)"
    )
    made.add_argument("--data", metavar="DIR", help="your peer's data folder, where its owner's token lies")
    made.add_argument("--config", metavar="FILE", help="configuration file (default: ./config.yaml, if there is one)")
    made.add_argument("--json", action="store_true", help="one JSON object a line, as in a pipe")
    return made


def _command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", parents=[_everywhere()]
    )
    return made


def _search(commands: Any) -> None:
    made = _command(commands, "search", "find files by words in their names, tags and category")
    made.add_argument("words", metavar="WORDS", nargs="*", help="all of them must fit; none: everything")
    made.add_argument("--category", metavar="C", default="", help="document, image, video, audio, archive, code, other")
    made.add_argument("--tag", metavar="TAG", action="append", default=[], help="having this tag; repeatable")
    made.add_argument("--ext", metavar="EXT", default="", help="with this extension")
    made.add_argument("--sort", metavar="BY", default="", help="relevance, name, size, downloads, rating or date")
    made.add_argument("--limit", metavar="N", default=50, help="at most N results, 1 to 1000 (default: 50)")
    made.add_argument("--offline", action="store_true", help="also files that nobody online has")


def _get(commands: Any) -> None:
    made = _command(commands, "get", "fetch files, proven by their ids, and go on with what was begun")
    made.epilog = (
        "Where your own peer runs, it fetches, and this shows how it fares; with --super-peer, or where no peer of "
        "yours runs, this fetches by itself. A stop loses nothing: the same command goes on from there."
    )
    made.add_argument("files", metavar="ID|NAME", nargs="*", help="an id, or a name if that is clear enough")
    made.add_argument(
        "--list", metavar="FILE", help="the files that FILE names: an id a line, or what sha256sum prints"
    )
    made.add_argument(
        "--from", metavar=("PEER", "PATH/"), nargs=2, dest="folder_of", help="a whole folder of this peer, as it is"
    )
    made.add_argument("-o", "--output", metavar="PATH", help="file or existing folder to save to (default: here)")
    made.add_argument("--later", action="store_true", help="only add to your peer's downloads, and do not wait")
    made.add_argument("--priority", metavar="N", default=0, help="-100 to 100; what is higher goes first (default: 0)")
    made.add_argument("--sequential", action="store_true", help="from front to back, for what is played meanwhile")
    made.add_argument("-v", "--verbose", action="store_true", help="show what each source does")


def _queue(commands: Any) -> None:
    listing = _command(commands, "downloads", "list what your peer fetches, and why something waits")
    listing.add_argument("--all", action="store_true", help="also all that is finished (default: the latest of it)")
    for name, summary in (
        ("pause", "stop downloads for a while"),
        ("resume", "go on with downloads that were paused, wait or failed"),
        ("cancel", "forget downloads, and what has come of those that are not finished"),
    ):
        made = _command(commands, name, summary)
        made.add_argument("ids", metavar="ID", nargs="+", help="as `peer downloads` shows it, or how it begins")


def _cache(commands: Any) -> None:
    made = _command(commands, "cache", "list what your peer offers on of what it has fetched")
    made.epilog = "`drop` and `clear` leave the downloads where they are; peer.share_downloads: false turns it off."
    made.add_argument("what", nargs="?", choices=("drop", "clear"), help="offer some on no longer, or all")
    made.add_argument("ids", metavar="ID", nargs="*", help="the ids of those to drop")


def _limits(commands: Any) -> None:
    made = _command(commands, "limits", "show or set how fast your peer may upload and download")
    made.epilog = "A rate is such as 500kB/s or 4MiB/s, and 0 for no limit. What is not named stays as it is."
    for direction, who in (("upload", "to"), ("download", "from")):
        made.add_argument(f"--{direction}", metavar="RATE", help=f"all {direction}s together")
        made.add_argument(f"--{direction}-per-peer", metavar="RATE", help=f"{who} one address")
        made.add_argument(f"--{direction}-per-transfer", metavar="RATE", help=f"one file {who} one address")
    made.add_argument("--lan-exempt", metavar="yes|no", help="whether addresses of private networks do not count")
    made.add_argument(
        "--schedule",
        metavar="LINE",
        action="append",
        help="while its hours last, such as 'Mon-Fri 08:00-18:00 up 1MB/s'; repeatable; '' for none",
    )


def _run(commands: Any) -> None:
    made = commands.add_parser(
        "run",
        help="run a peer that shares and fetches",
        description="Run a peer until it is told to stop.",
        epilog="Without --host or --lan only this machine can reach it. Settings come from config.yaml, "
        "the environment (PEER_PORT and so on) and these flags, the later over the earlier.",
    )
    made.add_argument("--config", metavar="FILE", help="configuration file (default: ./config.yaml, if there is one)")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--host", metavar="ADDR", help="address to listen on (default: 127.0.0.1)")
    where.add_argument("--lan", action="store_const", const="::", dest="host", help="listen on all interfaces")
    made.add_argument("--port", metavar="N", help="port to listen on (default: 9001)")
    made.add_argument("--share", metavar="PATH", action="append", help="folder or file to share; repeatable")
    made.add_argument("--super-peer", metavar="HOST:PORT", help="the super-peer (default: localhost:8080)")
    made.add_argument("--name", metavar="NAME", help="what others call this peer (default: the machine's name)")
    made.add_argument("--data", metavar="DIR", help="folder of its key, token and database (default: ./data/peer)")
    made.add_argument("-v", "--verbose", action="store_true", help="log every request")


def run_settings(given: argparse.Namespace) -> dict[str, Any]:
    """What `peer run` was given, by the names of the settings. `--share` replaces all configured shares.

    The first that is not a single file is the shared directory, which takes in uploads.
    """
    first, *more = sorted(given.share or [None], key=lambda path: path is not None and isfile(expanduser(path)))
    return {
        "peer.host": given.host,
        "peer.port": given.port,
        "peer.shared_directory": first,
        "peer.shares": more if first else None,
        "peer.super_peer_address": authority("--super-peer", given.super_peer),
        "peer.name": given.name,
        "peer.data": given.data,
        "logging.level": "debug" if given.verbose else None,
    }


def authority(flag: str, given: str | None) -> str | None:
    """What was given for an address, which may be one copied from a browser, as HOST:PORT. Raises ConfigError."""
    scheme, is_url, rest = (given or "").partition("://")
    if not is_url or scheme.lower() not in ("http", "https"):
        return given
    if scheme.lower() == "https":
        raise ConfigError(f"{flag} is {shown(given)}, but TLS is not spoken yet: give http://HOST:PORT or HOST:PORT")
    return rest.removesuffix("/")
