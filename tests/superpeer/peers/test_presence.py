"""Who is taken to be here, by a clock that the test holds."""

from typing import Any

import pytest

from superpeer.peers.presence import Presence, Seat

INTERVAL = 30.0


def seat(n: int = 1, **changes: Any) -> Seat:
    values: dict[str, Any] = {
        "n": n,
        "id": f"p{n}",
        "name": "",
        "address": "127.0.0.1",
        "port": 9000 + n,
        "registered_from": "127.0.0.1",
        "region": "",
        "keyed": False,
        "token_digest": b"",
        "sequence": -1,
        "catalogue_id": None,
        "catalogue_version": 0,
        "online": True,
        "last_seen": 0.0,
        "heard": 0.0,
    }
    return Seat(**(values | changes))


@pytest.fixture
def presence() -> Presence:
    return Presence(INTERVAL)


def test_a_silence_of_three_intervals_is_forgiven_and_no_longer(presence: Presence) -> None:
    here = seat(heard=1000.0)
    presence.seat(here)
    assert presence.silent(1000.0 + 3 * INTERVAL) == []
    assert presence.silent(1000.0 + 3 * INTERVAL + 0.001) == [here]


def test_a_sign_of_life_begins_the_silence_anew(presence: Presence) -> None:
    here = seat()
    presence.seat(here)
    presence.hear(here, 5000.0, 80.0)
    assert presence.silent(80.0 + 3 * INTERVAL) == []
    assert (here.last_seen, here.heard) == (5000.0, 80.0)


def test_who_is_offline_is_not_silent_once_more(presence: Presence) -> None:
    presence.seat(seat(online=False))
    assert presence.silent(1e9) == []


def test_wall_time_that_jumps_makes_nobody_silent(presence: Presence) -> None:
    here = seat()
    presence.seat(here)
    presence.hear(here, 1e12, 100.0)
    presence.hear(here, 0.0, 101.0)
    assert presence.silent(101.0 + INTERVAL) == []


def test_only_the_offline_are_long_gone(presence: Presence) -> None:
    here, away = seat(1, last_seen=0.0), seat(2, online=False, last_seen=0.0)
    presence.seat(here)
    presence.seat(away)
    assert presence.long_gone(100.0, grace=100.0) == []
    assert presence.long_gone(100.1, grace=100.0) == [away]


def test_what_was_heard_is_written_once(presence: Presence) -> None:
    one, other = seat(1), seat(2)
    presence.seat(one)
    presence.seat(other)
    presence.hear(one, 1.0, 1.0)
    presence.hear(one, 2.0, 2.0)
    assert presence.take_written_behind() == [one]
    assert presence.take_written_behind() == []


def test_what_could_not_be_written_is_written_next_time(presence: Presence) -> None:
    one, gone = seat(1), seat(2)
    presence.seat(one)
    presence.seat(gone)
    for each in (one, gone):
        presence.hear(each, 1.0, 1.0)
    taken = presence.take_written_behind()
    presence.forget(gone)
    presence.give_back(taken)
    assert presence.take_written_behind() == [one]


def test_who_is_forgotten_is_nowhere(presence: Presence) -> None:
    here = seat()
    presence.seat(here)
    presence.hear(here, 1.0, 1.0)
    presence.forget(here)
    assert len(presence) == 0
    assert presence.find("p1") is None
    assert presence.numbered(1) is None
    assert presence.at("127.0.0.1", 9001) is None
    assert presence.take_written_behind() == []


def test_a_seat_taken_again_replaces_the_former(presence: Presence) -> None:
    presence.seat(seat(1, port=9001))
    again = seat(1, port=9002)
    presence.seat(again)
    assert len(presence) == 1
    assert presence.find("p1") is again
    assert presence.numbered(1) is again
    assert presence.at("127.0.0.1", 9001) is None
    assert presence.at("127.0.0.1", 9002) is again


def test_at_a_place_is_the_keyless_peer_that_came_last(presence: Presence) -> None:
    first, last = seat(1, port=9001), seat(2, port=9001)
    presence.seat(first)
    presence.seat(last)
    presence.seat(seat(3, port=9001, keyed=True))
    assert presence.at("127.0.0.1", 9001) is last
    presence.forget(first)
    assert presence.at("127.0.0.1", 9001) is last


def test_a_place_is_where_a_peer_was_seen_not_what_it_announces(presence: Presence) -> None:
    here = seat(1, address="198.51.100.7", registered_from="127.0.0.1")
    presence.seat(here)
    assert presence.at("127.0.0.1", 9001) is here
    assert presence.at("198.51.100.7", 9001) is None


def test_online_lists_those_here(presence: Presence) -> None:
    here = seat(1)
    presence.seat(here)
    presence.seat(seat(2, online=False))
    assert presence.online() == [here]
