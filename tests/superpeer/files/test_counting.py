"""Each fetch is counted once, by report or by redirect. Pure."""

from superpeer.files.counting import REMEMBERED, ROUND, Counts

FILE = 7


def test_each_redirect_counts() -> None:
    counts = Counts()
    for now in (0.0, 1.0):
        counts.redirected(FILE, "a", now)
    assert counts.take() == {FILE: 2}
    assert counts.take() == {}


def test_the_reports_of_one_round_are_one_download() -> None:
    counts = Counts()
    for now in (0.0, 1.0, 2.0):
        counts.reported(FILE, 1, "a", now)
    counts.reported(FILE, 2, "b", 0.0)
    assert counts.take() == {FILE: 2}


def test_a_later_round_counts_again() -> None:
    counts = Counts()
    counts.reported(FILE, 1, "a", 0.0)
    counts.reported(FILE, 1, "a", ROUND)
    counts.reported(FILE, 1, "a", 2 * ROUND + 1)
    assert counts.take() == {FILE: 2}


def test_who_was_redirected_and_then_reports_has_fetched_once() -> None:
    counts = Counts()
    counts.redirected(FILE, "a", 0.0)
    counts.reported(FILE, 1, "a", 5.0)
    counts.reported(FILE, 1, "a", 6.0)
    assert counts.take() == {FILE: 1}
    counts.reported(FILE, 2, "a", 7.0)  # the redirect has been used up
    counts.redirected(8, "a", 7.0)
    counts.reported(FILE, 3, "a", 8.0)
    assert counts.take() == {FILE: 2, 8: 1}


def test_an_old_redirect_was_another_fetch() -> None:
    counts = Counts()
    counts.redirected(FILE, "a", 0.0)
    counts.reported(FILE, 1, "a", ROUND + 1)
    assert counts.take() == {FILE: 2}


def test_what_could_not_be_written_is_counted_still() -> None:
    counts = Counts()
    counts.redirected(FILE, "a", 0.0)
    taken = counts.take()
    counts.redirected(FILE, "a", 0.0)
    counts.give_back(taken)
    assert counts.take() == {FILE: 2}


def test_no_more_is_remembered_than_has_room() -> None:
    counts = Counts()
    for n in range(REMEMBERED + 5):
        counts.redirected(n, "a", 0.0)
        counts.reported(n, 1, "b", 0.0)
    assert (len(counts._redirected), len(counts._reported)) == (REMEMBERED, REMEMBERED)
