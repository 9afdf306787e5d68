"""What a look at a folder means."""

from hypothesis import given
from hypothesis import strategies as st

from peer.shares.comparison import Row, compare, state_of_absent
from peer.shares.schema import State
from peer.shares.tree import Seen

SEEN = Seen(b"file", 10, 1000, 7, 1, 1000)
ROW = Row(1, b"file", 10, 1000, 7, 1, State.HERE, True)


def test_what_is_as_it_was_is_nothing_to_do() -> None:
    assert compare([SEEN], {b"file": ROW}) == ([], [])


def test_what_is_not_known_is_fresh() -> None:
    assert compare([SEEN], {}) == ([(SEEN, None)], [])


def test_another_size_time_or_inode_is_another_content() -> None:
    for other in (SEEN._replace(size=11), SEEN._replace(mtime_ns=1001), SEEN._replace(inode=8)):
        assert compare([other], {b"file": ROW}) == ([(other, ROW)], [])


def test_a_change_of_nothing_but_ctime_is_none() -> None:
    assert compare([SEEN._replace(ctime_ns=2000)], {b"file": ROW}) == ([], [])


def test_what_could_not_be_proven_is_tried_again() -> None:
    row = ROW._replace(proven=False)
    assert compare([SEEN], {b"file": row}) == ([(SEEN, row)], [])


def test_what_was_away_and_is_as_it_was_is_back_unhashed() -> None:
    for state in (State.CHANGED, State.MISSING, State.GONE):
        row = ROW._replace(state=state)
        assert compare([SEEN], {b"file": row}) == ([], [(SEEN, row)])


def test_a_disk_may_get_another_number() -> None:
    assert compare([SEEN._replace(device=2)], {b"file": ROW}) == ([], [(SEEN._replace(device=2), ROW)])


def test_what_is_absent_from_its_own_disk_is_gone() -> None:
    assert state_of_absent(ROW, device=1) == State.GONE


def test_what_is_absent_together_with_its_disk_is_missing() -> None:
    assert state_of_absent(ROW, device=2) == State.MISSING


NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
NUMBERS = st.integers(0, 2)
FILES = st.builds(Seen, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
ROWS = st.builds(Row, NUMBERS, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 3), st.booleans())


@given(st.lists(FILES, unique_by=lambda file: file.name), st.lists(ROWS, unique_by=lambda row: row.name))
def test_each_file_is_the_same_back_or_fresh(files: list[Seen], rows: list[Row]) -> None:
    known = {row.name: row for row in rows}
    fresh, back = compare(files, known)
    named = [file.name for file, _ in fresh] + [file.name for file, _ in back]
    assert len(named) == len(set(named))
    for file in files:
        row = known.get(file.name)
        same = row is not None and row[2:5] == file[1:4] and row.proven
        assert (file.name in {seen.name for seen, _ in fresh}) == (not same)
