"""What lies on the disk is found out by its bytes alone."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from common.content.grid import SMALLEST_PIECE as PIECE
from common.content.pieces import all_of, members
from peer.downloads.part_file import PartFile
from peer.downloads.taking_up import pieces_there
from tests.support.sources import Content, flipped


@pytest.fixture
def content() -> Content:
    return Content(os.urandom(5 * PIECE + 1000))


def there(content: Content, folder: Path, *, proven: bool = True) -> list[int]:
    with closing(PartFile(content.wanted(folder))) as part:
        manifest = content.manifest()
        return list(members(pieces_there(part, manifest.grid, manifest if proven else None)))


def write(content: Content, folder: Path, *pieces: int, data: bytes = b"") -> None:
    with content.part(folder).open("r+b" if content.part(folder).exists() else "wb") as part:
        for piece in pieces:
            part.seek(piece * PIECE)
            part.write((data or content.data)[piece * PIECE : (piece + 1) * PIECE])


def test_nothing_is_there_at_first(content: Content, tmp_path: Path) -> None:
    assert there(content, tmp_path) == []
    assert there(content, tmp_path, proven=False) == []


def test_every_piece_that_is_right_is_found_wherever_it_lies(content: Content, tmp_path: Path) -> None:
    write(content, tmp_path, 1, 2, 5)
    assert there(content, tmp_path) == [1, 2, 5]
    write(content, tmp_path, 0, 3, 4)
    assert there(content, tmp_path) == [*range(6)]


def test_a_piece_that_was_not_finished_is_not_there(content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).write_bytes(content.data[: 3 * PIECE - 1])
    assert there(content, tmp_path) == [0, 1]


def test_a_piece_with_one_wrong_bit_is_not_there(content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).write_bytes(flipped(content.data))
    assert there(content, tmp_path) == [1, 2, 3, 4, 5]


def test_zeros_that_were_never_written_are_no_pieces(content: Content, tmp_path: Path) -> None:
    content.part(tmp_path).touch()
    os.truncate(content.part(tmp_path), len(content.data))
    assert there(content, tmp_path) == []


def test_without_a_manifest_what_lies_at_the_front_counts(content: Content, tmp_path: Path) -> None:
    write(content, tmp_path, 0, 1, 3)
    assert there(content, tmp_path, proven=False) == [0, 1]
    write(content, tmp_path, 2, 4, 5)
    assert there(content, tmp_path, proven=False) == [*range(6)]


def test_what_does_not_begin_at_the_front_does_not_count_without_a_manifest(content: Content, tmp_path: Path) -> None:
    write(content, tmp_path, 1, 2)
    assert there(content, tmp_path, proven=False) == []


def test_an_empty_file_has_no_pieces(tmp_path: Path) -> None:
    empty = Content(b"")
    with closing(PartFile(empty.wanted(tmp_path))) as part:
        assert pieces_there(part, empty.manifest().grid, None) == 0 == all_of(0)
