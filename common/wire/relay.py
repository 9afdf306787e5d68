"""The line of a peer that cannot be dialled, and what passes over it.

The peer opens a WebSocket (`/api/v1/line`) and leaves it open. For each request that is to reach it, the super-peer
sends one RelayRequest as a text frame. The peer asks itself, and posts the answer to `/api/v1/line/{stream}`: a
RelayHead as JSON on one line, then the bytes as they are. A body that ends before it is whole is a cut answer; the end
of the line cuts all of its streams.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from common.wire.scalars import Count

MAX_HEAD = 16 * 1024  # bytes of the line that begins an answer
STREAMS_OF_LINE = 24  # at one time
LINE_PATH = "/api/v1/line"
RELAYED_PATH = r"/api/v1/(download|manifest|have|next)/[0-9a-f]{64}(\?[A-Za-z0-9_=&.,-]{1,512})?"
ASKED = ("Range", "If-Range", "If-Match", "If-None-Match", "X-Have")
ANSWERED = (
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Content-Disposition",
    "ETag",
    "Last-Modified",
    "Repr-Digest",
    "Retry-After",
)

HeaderName = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z-]+$(?!\n)")]
HeaderText = Annotated[str, Meta(max_length=2048, pattern=r"^[ -~]*$(?!\n)")]
Headers = Annotated[dict[HeaderName, HeaderText], Meta(max_length=16)]


class RelayRequest(Struct, frozen=True):
    """Answer this in stream `stream`. `headers`: only those in ASKED. `asker`: a word for whoever asks, to tell askers
    apart."""

    stream: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
    method: Literal["GET", "HEAD"]
    path: Annotated[str, Meta(max_length=1024, pattern=rf"^{RELAYED_PATH}$(?!\n)")]
    headers: Headers = field(default_factory=dict)
    asker: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._:-]*$(?!\n)")] = ""


class RelayHead(Struct, frozen=True):
    """How the answer begins. `headers`: only those in ANSWERED count; an answer without Content-Length goes on until it
    ends. `code` and `place` (in the line for a slot) are those of a refusal."""

    status: Annotated[int, Meta(ge=200, le=599)]
    headers: Headers = field(default_factory=dict)
    code: Annotated[str, Meta(max_length=64)] = ""
    place: Count | None = None
