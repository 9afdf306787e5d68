"""The bearer token of a request (RFC 6750, in the header only: a token in an address ends up in logs)."""

from aiohttp import hdrs, web


def bearer_token(request: web.Request) -> str | None:
    """What follows `Authorization: Bearer`, or None."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None or header[:7].lower() != "bearer ":
        return None
    # A byte beyond ASCII is in no token: what is compared later must only be text that can be encoded.
    return header[7:].strip().encode("ascii", "replace").decode() or None
