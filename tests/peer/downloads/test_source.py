"""Which answers of a source are taken."""

import pytest
from multidict import CIMultiDict

from peer.downloads.standing import SourceTrouble
from peer.downloads.source import accepted_start

SIZE = 1000


def test_a_whole_file_begins_at_the_beginning_whatever_was_asked() -> None:
    for offset in (0, 400):
        assert accepted_start(200, {"Content-Length": "1000"}, offset, SIZE) == 0


def test_the_range_that_was_asked() -> None:
    headers = {"Content-Length": "600", "Content-Range": "bytes 400-999/1000"}
    assert accepted_start(206, headers, 400, SIZE) == 400


@pytest.mark.parametrize(
    ("status", "offset", "headers"),
    [
        (200, 0, {}),
        (200, 0, {"Content-Length": "999"}),
        (200, 0, {"Content-Length": "+1000"}),
        (200, 0, {"Content-Length": "1000", "Transfer-Encoding": "chunked"}),
        (200, 400, {"Content-Length": "600", "Content-Range": "bytes 400-999/1000"}),
        (206, 0, {"Content-Length": "1000", "Content-Range": "bytes 0-999/1000"}),
        (206, 400, {"Content-Length": "600"}),
        (206, 400, {"Content-Length": "599", "Content-Range": "bytes 400-998/1000"}),
        (206, 400, {"Content-Length": "600", "Content-Range": "bytes 400-999/*"}),
        (206, 400, {"Content-Length": "601", "Content-Range": "bytes 400-1000/1001"}),
        (206, 400, {"Content-Length": "700", "Content-Range": "bytes 300-999/1000"}),
        (206, 400, {"Content-Length": "600", "Content-Type": "multipart/byteranges; boundary=x"}),
        (204, 0, {"Content-Length": "0"}),
        (299, 0, {"Content-Length": "1000"}),
    ],
)
def test_anything_else_is_refused(status: int, offset: int, headers: dict[str, str]) -> None:
    with pytest.raises(SourceTrouble) as trouble:
        accepted_start(status, CIMultiDict(headers), offset, SIZE)
    assert trouble.value.outcome == "refused"
