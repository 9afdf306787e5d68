"""The bearer token of a request (RFC 6750, in the header only: a token in an address ends up in logs)."""

from aiohttp import hdrs, web


def bearer_token(request: web.Request) -> str | None:
    """What follows `Authorization: Bearer`, or None."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None or header[:7].lower() != "bearer ":
        return None
    return header[7:].strip() or None
