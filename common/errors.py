"""The families of refusal. A rule raises one; only the HTTP edge knows which status a family has.

Every refusal carries a stable `code` (a promise to programs, listed in CODES with its title) and a `detail` written
for a person: what was wrong and what to do next.
"""

from typing import Any

CODES: dict[str, str] = {
    "address_not_allowed": "This address may not be used",
    "bad_request": "The request is not valid HTTP",
    "body_required": "The request needs a body",
    "body_too_slow": "The body came too slowly",
    "catalogue_out_of_step": "The catalogue's versions differ",
    "challenge_expired": "The challenge is used up or too old",
    "config_invalid": "The configuration is wrong",
    "cursor_expired": "The cursor is too old",
    "database_unavailable": "The database does not answer",
    "disk_full": "The disk is full",
    "download_ended": "This download is over",
    "download_not_found": "No such download",
    "download_running": "This file is being fetched already",
    "expectation_failed": "This expectation cannot be met",
    "file_changed": "The file has changed on disk",
    "file_not_found": "No such file",
    "file_too_large": "The file is too large",
    "hash_algorithm_differs": "The network uses another hash algorithm",
    "hashes_pending": "The piece hashes are being made",
    "header_too_large": "The request's head is too large",
    "headers_too_slow": "The request's head came too slowly",
    "host_not_allowed": "This host name is not served here",
    "id_taken": "This id belongs to another peer",
    "identity_required": "This network needs a key",
    "internal_error": "Something went wrong here",
    "invalid_body": "The body is not what is expected",
    "invalid_cursor": "The cursor cannot be read",
    "invalid_limit": "The limit is out of range",
    "invalid_parameter": "A parameter is wrong",
    "invalid_path": "The path is not usable",
    "invalid_sort": "Unknown sort order",
    "length_required": "The body needs a length",
    "method_not_allowed": "This method is not allowed here",
    "network_full": "The network has no room for another peer",
    "no_source_online": "Nobody who has this file is online",
    "not_found": "Nothing is here",
    "not_ready": "The daemon is not ready yet",
    "origin_not_allowed": "Pages of this site may not do that",
    "path_not_shareable": "This path cannot be shared",
    "peer_not_found": "No such peer",
    "precondition_failed": "The file is not the one that was meant",
    "proof_failed": "The bytes are not the file's",
    "quota_exceeded": "The quota of today is used up",
    "range_not_satisfiable": "The range lies outside the file",
    "replay": "This sequence number was used before",
    "shutting_down": "The daemon is stopping",
    "signature_invalid": "The signature does not fit",
    "source_unavailable": "The source does not answer as it should",
    "stream_not_found": "Nobody waits for this stream",
    "timed_out": "It took too long",
    "token_invalid": "The token is not valid",
    "token_required": "A token is needed",
    "too_large": "The body is too large",
    "too_many_connections": "Too many connections",
    "too_many_downloads": "Too many downloads",
    "too_many_entries": "Too many entries",
    "too_many_peers": "Too many peers come from this address",
    "too_many_requests": "Too many requests",
    "unsupported_encoding": "Compressed bodies are not accepted",
    "unsupported_media_type": "The body must be JSON",
    "unsupported_version": "This version of HTTP is not spoken here",
}


class Refusal(Exception):
    """A request that is declined for a reason the caller may know. `retry_after` is in seconds."""

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.title = CODES[code]
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra


class Invalid(Refusal):
    """What was sent cannot be understood or is out of bounds."""


class Unauthenticated(Refusal):
    """Who asks is not proven."""


class Forbidden(Refusal):
    """Who asks may not."""


class NotFound(Refusal):
    """What was named is not there, or not for this asker."""


class Conflict(Refusal):
    """It does not fit what is already there."""


class Outdated(Refusal):
    """The caller's condition on the version does not hold."""


class Gone(Refusal):
    """It was there and will not come back."""


class TooLarge(Refusal):
    """More was sent than is taken."""


class OutOfRange(Refusal):
    """The range that was asked for is not there; `extra["size"]` is the file's size."""


class Unsupported(Refusal):
    """The form of what was sent is not spoken here."""


class Misdirected(Refusal):
    """The request was meant for another host."""


class Unacceptable(Refusal):
    """It is well formed and is not allowed by policy."""


class TooMany(Refusal):
    """Too much in too short a time: come back later."""


class Unavailable(Refusal):
    """It cannot be done now; it may be possible later."""


class NoSpace(Refusal):
    """There is no room on the disk."""
