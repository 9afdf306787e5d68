"""What is looked at first, and what bursts of notices become."""

from hypothesis import given
from hypothesis import strategies as st

from peer.shares.agenda import CROWD, NAMES, Agenda, Place

ROOT = Place(1, b"")
INNER = Place(1, b"inner")


def test_nothing_to_do() -> None:
    agenda = Agenda()
    assert not agenda
    assert agenda.due() is None
    assert (agenda.next_names(0.0), agenda.next_folder(), agenda.next_sweep()) == (None, None, None)


def test_names_are_asked_for_once_however_often_they_are_noticed() -> None:
    agenda = Agenda()
    for _ in range(3):
        agenda.look(INNER, (b"a", b"b"))
    assert agenda.awaits(INNER, b"a")
    place, names = agenda.next_names(0.0) or (None, [])
    assert (place, sorted(names)) == (INNER, [b"a", b"b"])
    assert agenda.next_names(0.0) is None
    assert not agenda
    assert not agenda.awaits(INNER, b"a")


def test_names_come_in_bounded_portions() -> None:
    agenda = Agenda()
    agenda.look(INNER, (b"%d" % number for number in range(NAMES + 1)))
    sizes = []
    while found := agenda.next_names(0.0):
        sizes.append(len(found[1]))
    assert sizes == [NAMES, 1]


def test_a_crowd_of_names_becomes_its_folder() -> None:
    agenda = Agenda()
    agenda.look(INNER, (b"%d" % number for number in range(CROWD + 1)))
    assert agenda.next_names(0.0) is None
    assert agenda.next_folder() == INNER
    assert agenda.next_folder() is None


def test_a_crowd_in_the_root_becomes_a_sweep_of_the_share() -> None:
    agenda = Agenda()
    agenda.look(ROOT, (b"%d" % number for number in range(CROWD + 1)))
    assert agenda.next_folder() is None
    assert agenda.sweeps() == {1}
    assert agenda.next_sweep() == ROOT


def test_what_is_put_off_comes_in_its_time() -> None:
    agenda = Agenda()
    agenda.look_at(5.0, INNER, b"later")
    agenda.walk_at(3.0, INNER)
    assert agenda
    assert (agenda.due(), agenda.next_names(2.9), agenda.next_folder()) == (3.0, None, None)
    assert agenda.awaits(INNER, b"later")
    assert agenda.next_names(3.0) is None
    assert (agenda.next_folder(), agenda.due()) == (INNER, 5.0)
    assert agenda.next_names(5.0) == (INNER, [b"later"])


def test_a_name_that_is_put_off_is_not_hurried_by_notices() -> None:
    agenda = Agenda()
    agenda.look_at(5.0, INNER, b"busy")
    agenda.look_at(6.0, INNER, b"busy")
    agenda.notice(INNER, b"busy")
    agenda.notice(INNER, b"other")
    assert agenda.next_names(0.0) == (INNER, [b"other"])
    assert agenda.next_names(0.0) is None
    assert agenda.next_names(5.0) == (INNER, [b"busy"])
    agenda.notice(INNER, b"busy")
    assert agenda.next_names(5.0) == (INNER, [b"busy"])
    assert agenda.next_names(9.0) is None


def test_a_share_can_be_forgotten() -> None:
    agenda = Agenda()
    for share in (1, 2):
        agenda.look(Place(share, b"x"), (b"name",))
        agenda.walk(Place(share, b"y"))
        agenda.sweep(share)
        agenda.look_at(1.0, Place(share, b"z"), b"later")
    agenda.forget(1)
    assert agenda.sweeps() == {2}
    assert agenda.next_names(0.0) == (Place(2, b"x"), [b"name"])
    assert agenda.next_folder() == Place(2, b"y")
    assert agenda.next_names(2.0) == (Place(2, b"z"), [b"later"])
    assert agenda.next_sweep() == Place(2, b"")
    assert not agenda


@given(st.lists(st.tuples(st.sampled_from([ROOT, INNER, Place(2, b"")]), st.binary(min_size=1, max_size=2))))
def test_nothing_asked_for_is_lost(asked: list[tuple[Place, bytes]]) -> None:
    agenda = Agenda()
    for place, name in asked:
        agenda.look(place, (name,))
    got = set()
    while found := agenda.next_names(0.0):
        got |= {(found[0], name) for name in found[1]}
    assert got == set(asked)
