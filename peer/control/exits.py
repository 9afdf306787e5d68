"""How a command ends: its exit code, which programs rely on, and the one line that says what went wrong."""

from enum import IntEnum

from common.errors import Refusal


class Exit(IntEnum):
    """What the shell gets."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_SOURCE = 4
    PROOF_FAILED = 5
    INTERRUPTED = 130


class Stop(Exception):
    """Ends a command. `detail`, one line, says what was wrong and what to do next; `code` is a word for programs."""

    def __init__(self, exit_code: Exit, code: str, detail: str) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
        self.code = code
        self.detail = detail


_BY_CODE = {
    "download_not_found": Exit.NOT_FOUND,
    "file_not_found": Exit.NOT_FOUND,
    "not_found": Exit.NOT_FOUND,
    "peer_not_found": Exit.NOT_FOUND,
    "no_source_online": Exit.NO_SOURCE,
    "proof_failed": Exit.PROOF_FAILED,
    "config_invalid": Exit.USAGE,
    "path_not_shareable": Exit.USAGE,
    "token_invalid": Exit.USAGE,
    "token_required": Exit.USAGE,
}


def exit_of(code: str) -> Exit:
    """The exit code for an error's code, ours or another machine's."""
    return _BY_CODE.get(code, Exit.USAGE if code.startswith("invalid_") else Exit.FAILED)


def stop_of(refusal: Refusal) -> Stop:
    """A refusal of our own as the end of a command."""
    return Stop(exit_of(refusal.code), refusal.code, refusal.detail)
