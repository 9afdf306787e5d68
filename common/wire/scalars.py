"""The bounded scalars of which messages are made."""

from typing import Annotated

from msgspec import Meta

MAX_INT = 2**53

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT)]
Size = Annotated[int, Meta(ge=0, le=MAX_INT, description="bytes")]
# The length as well: a `$` alone would let a line break through.
FileHash = Annotated[
    str,
    Meta(
        min_length=64, max_length=64, pattern="^[0-9a-f]{64}$", description="lower-case hex digest of the file's bytes"
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Word = Annotated[str, Meta(max_length=64)]
Path = Annotated[str, Meta(min_length=1, max_length=4096, description="relative, separated by `/`")]
