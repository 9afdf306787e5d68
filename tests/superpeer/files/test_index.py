"""What is written when peers announce, leave and come back: every listing is what its entries make it."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import errors
from common.wire.files import CatalogueDelta
from common.wire.scalars import MAX_INT
from superpeer.files import relisting
from superpeer.files.listing import fold, groups, listing
from tests.support.libraries import QUOTA, Library, entry, library
from tests.support.peers import content_id


async def shown(books: Library, content: str) -> Any:
    return await books.shelf.file(content_id(content))


# One peer


async def test_what_is_announced_can_be_seen(books: Library) -> None:
    change = await books.announce("p", entry("dir/a.txt"), entry("b.mp3"))
    assert change.added == [content_id("dir/a.txt"), content_id("b.mp3")]
    assert change.removed == []
    found = await shown(books, "dir/a.txt")
    assert (found.filename, found.category, found.owner, found.sources) == ("a.txt", "document", "p", 1)
    assert books.rows("SELECT shared_files, shared_bytes, catalogue_id, catalogue_version FROM peers") == [
        (2, 14, "c", 1)
    ]


async def test_one_content_at_two_paths_is_two_entries_and_one_file(books: Library) -> None:
    await books.announce("p", entry("a.txt", "same"), entry("b.txt", "same"))
    found = await shown(books, "same")
    assert (found.filename, found.names, found.sources) == ("a.txt", ["b.txt"], 1)
    assert books.rows("SELECT count(*) FROM files") == [(1,)]
    assert books.rows("SELECT shared_files, shared_bytes FROM peers") == [(2, 8)]


async def test_one_content_at_two_peers_is_one_file_of_the_first(books: Library) -> None:
    await books.announce("p", entry("first.txt", "same", tags=["x"]))
    await books.announce("q", entry("second.txt", "same", tags=["y"]))
    found = await shown(books, "same")
    assert (found.filename, found.names, found.tags) == ("first.txt", ["second.txt"], ["x", "y"])
    assert (found.owner, found.sources) == ("p", 2)


async def test_the_first_who_announced_a_content_owns_it_whatever_stood_at_the_path_before(books: Library) -> None:
    await books.announce("p", entry("a.txt", "old"))
    books.clock.advance(1)
    await books.announce("q", entry("b.txt", "new"))
    books.clock.advance(1)
    await books.announce("p", entry("a.txt", "new"))
    found = await shown(books, "new")
    assert (found.owner, found.filename, found.names) == ("q", "b.txt", ["a.txt"])


async def test_a_clock_that_goes_back_makes_nobody_the_first(books: Library) -> None:
    await books.announce("p", entry("a.txt", "same"))
    books.clock.advance(-1000)
    await books.announce("q", entry("b.txt", "same"))
    assert (await shown(books, "same")).owner == "p"


async def test_announced_again_an_entry_keeps_its_time_and_a_new_content_gets_its_own(books: Library) -> None:
    await books.announce("p", entry("a.txt", "one"))
    before = (await shown(books, "one")).upload_time
    books.clock.advance(60)
    await books.announce("p", entry("a.txt", "one", tags=["x"]), begin=True, complete=True)
    again = await shown(books, "one")
    assert (again.upload_time, again.tags) == (before, ["x"])
    await books.announce("p", entry("a.txt", "two"))
    assert (await shown(books, "two")).upload_time > before


async def test_a_path_with_a_new_content_no_longer_offers_the_old_one(books: Library) -> None:
    await books.announce("p", entry("a.txt", "old"))
    change = await books.announce("p", entry("a.txt", "new"))
    assert change.removed == [content_id("old")]
    with pytest.raises(errors.NotFound):
        await shown(books, "old")
    assert books.rows("SELECT count(*) FROM files") == [(1,)]


async def test_what_is_removed_is_gone_when_its_last_path_is(books: Library) -> None:
    await books.announce("p", entry("a.txt", "same"), entry("b.txt", "same"))
    assert (await books.announce("p", remove=["a.txt"])).removed == []
    assert (await shown(books, "same")).filename == "b.txt"
    assert (await books.announce("p", remove=["b.txt"])).removed == [content_id("same")]
    assert books.rows("SELECT count(*) FROM files") == [(0,)]
    assert books.rows("SELECT count(*) FROM listings") == [(0,)]


async def test_what_another_peer_still_has_stays(books: Library) -> None:
    await books.announce("p", entry("a.txt", "same"))
    await books.announce("q", entry("b.txt", "same"))
    assert (await books.announce("p", remove=["a.txt"])).removed == [content_id("same")]
    found = await shown(books, "same")
    assert (found.filename, found.owner, found.sources, found.names) == ("b.txt", "q", 1, [])


async def test_a_renamed_file_is_the_same_file(books: Library) -> None:
    await books.announce("p", entry("old.txt", "same"))
    change = await books.announce("p", entry("new.txt", "same"), remove=["old.txt"])
    assert change.removed == []
    assert await books.names(q="new") == ["new.txt"]
    assert await books.names(q="old") == []


async def test_a_path_in_both_lists_stays(books: Library) -> None:
    await books.announce("p", entry("a.txt", "old"))
    await books.announce("p", entry("a.txt", "new"), remove=["a.txt"])
    assert await books.names() == ["a.txt"]


async def test_what_was_never_there_can_be_removed(books: Library) -> None:
    assert (await books.announce("p", remove=["nowhere", "../x"])).removed == []


async def test_peers_do_not_remove_each_others_paths(books: Library) -> None:
    await books.announce("p", entry("a.txt"))
    await books.announce("q", entry("a.txt", "another"), remove=["a.txt"])
    assert (await shown(books, "a.txt")).owner == "p"


# Beginning anew


async def test_a_new_beginning_keeps_the_old_until_it_is_complete(books: Library) -> None:
    await books.announce("p", *(entry(f"{n}.txt") for n in range(6)))
    await books.announce("p", entry("0.txt"), entry("1.txt"), begin=True)
    assert len(await books.names()) == 6
    change = await books.announce("p", entry("2.txt"), entry("new.txt"), complete=True)
    assert sorted(change.removed) == sorted(content_id(f"{n}.txt") for n in (3, 4, 5))
    assert sorted(await books.names()) == ["0.txt", "1.txt", "2.txt", "new.txt"]
    assert books.rows("SELECT shared_files, catalogue_version FROM peers") == [(4, 2)]


async def test_a_beginning_sent_twice_leaves_one_thing(books: Library) -> None:
    for _ in range(2):
        await books.announce("p", entry("a.txt"), entry("b.txt"), begin=True)
    await books.announce("p", entry("c.txt"), complete=True)
    assert sorted(await books.names()) == ["a.txt", "b.txt", "c.txt"]


async def test_an_empty_catalogue_can_be_complete(books: Library) -> None:
    await books.announce("p", entry("a.txt"))
    change = await books.announce("p", begin=True, complete=True)
    assert change.removed == [content_id("a.txt")]
    assert books.rows("SELECT shared_files, shared_bytes FROM peers") == [(0, 0)]


async def test_complete_takes_nothing_of_the_present_round(books: Library) -> None:
    await books.announce("p", entry("a.txt"), begin=True, complete=True)
    await books.announce("p", entry("b.txt"), complete=True)
    assert sorted(await books.names()) == ["a.txt", "b.txt"]


async def test_a_single_file_belongs_to_the_present_round(books: Library) -> None:
    await books.announce("p", entry("a.txt"), begin=True)
    await books.index.announce(await books.number("p"), entry("single.txt"), 0.0)
    n = await books.number("p")
    held, _ = await books.index.apply(n, CatalogueDelta("c", 2, [entry("b.txt")], complete=True), 0.0)
    assert held.version == 3
    assert sorted(await books.names()) == ["a.txt", "b.txt", "single.txt"]


async def test_out_of_step_changes_nothing(books: Library) -> None:
    await books.announce("p", entry("a.txt"))
    before = books.rows("SELECT * FROM peers")
    with pytest.raises(errors.Conflict):
        await books.index.apply(await books.number("p"), CatalogueDelta("c", 5, [entry("b.txt")]), 0.0)
    assert books.rows("SELECT * FROM peers") == before
    assert await books.names() == ["a.txt"]


async def test_a_forgotten_peer_announces_nothing(books: Library) -> None:
    with pytest.raises(errors.NotFound) as refused:
        await books.index.apply(99, CatalogueDelta("c", 0, [entry("a.txt")]), 0.0)
    assert refused.value.code == "peer_not_found"
    assert books.rows("SELECT count(*) FROM files") == [(0,)]


# Quota and sizes


async def test_a_peer_has_a_quota_and_a_call_beyond_it_leaves_nothing(books: Library) -> None:
    few = QUOTA // 10
    await books.announce("keyless", *(entry(f"{n}") for n in range(few)))
    with pytest.raises(errors.TooLarge) as refused:
        await books.announce("keyless", entry("one more"), remove=["nowhere"])
    assert refused.value.code == "too_many_entries"
    assert str(few) in refused.value.detail
    assert books.rows("SELECT count(*) FROM entries") == [(few,)]
    assert books.rows("SELECT count(*) FROM files") == [(few,)]
    await books.announce("keyless", entry("one more"), remove=["0"])
    await books.announce("verified", *(entry(f"v{n}") for n in range(few + 1)))


async def test_entries_that_nobody_sees_count_for_the_quota(books: Library) -> None:
    few = QUOTA // 10
    with pytest.raises(errors.TooLarge):
        await books.announce("keyless", *(entry(f"{n}", audience="friends") for n in range(few + 1)))


async def test_sizes_beyond_all_sense_are_summed_without_harm(books: Library) -> None:
    await books.announce("p", *(entry(f"{n}", size=MAX_INT) for n in range(1100)))
    await books.announce("q", *(entry(f"q{n}", size=MAX_INT) for n in range(1100)))
    totals = await books.shelf.totals()
    assert (totals.files, totals.bytes) == (2200, MAX_INT)
    assert books.rows("SELECT DISTINCT shared_bytes FROM peers") == [(MAX_INT,)]


async def test_of_a_content_that_one_peer_has_very_often_only_the_first_names_are_looked_at(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relisting, "SAID", 3)
    await books.announce("p", *(entry(f"{n}.txt", "same") for n in range(9)))
    await books.announce("q", entry("theirs.txt", "same"))
    await books.announce("p", remove=["0.txt"])
    (info,) = (await books.page()).files
    assert [info.filename, *info.names] == ["1.txt", "2.txt", "3.txt", "theirs.txt"]
    assert info.sources == 2
    assert books.rows("SELECT shared_files FROM peers") == [(8,), (1,)]


async def test_however_often_a_peer_has_a_content_it_is_found_under_each_of_its_few_names(books: Library) -> None:
    empty = [entry(f"{n}/__init__.py", "same") for n in range(300)]
    await books.announce("p", *empty, entry("py.typed", "same"))
    await books.announce("p", remove=["0/__init__.py"])
    (info,) = (await books.page()).files
    assert [info.filename, *info.names] == ["__init__.py", "py.typed"]


async def test_where_sizes_differ_most_peers_decide(books: Library) -> None:
    await books.announce("liar", entry("lie.txt", "same", size=99))
    assert (await shown(books, "same")).size == 99
    await books.announce("p", entry("a.txt", "same"))
    await books.announce("q", entry("a.txt", "same"))
    found = await shown(books, "same")
    assert (found.size, found.sources, found.filename, found.owner) == (4, 2, "a.txt", "p")
    assert await books.names(q="lie") == []
    _, holders = await books.shelf.holders(content_id("same"))
    assert {holder.n for holder in holders} == {await books.number("p"), await books.number("q")}
    assert await books.names(peer="liar") == []
    assert await books.names(peer="q") == ["a.txt"]
    await books.set_online("p", False)
    await books.set_online("q", False)
    assert await books.names() == []


# Presence


async def test_who_goes_offline_takes_its_files_out_of_sight(books: Library) -> None:
    await books.announce("p", entry("a.txt"), entry("both.txt"))
    await books.announce("q", entry("both.txt"))
    await books.set_online("p", False)
    assert await books.names() == ["both.txt"]
    assert (await shown(books, "both.txt")).peer_address == "127.0.0.1:9002"
    assert (await shown(books, "a.txt")).peer_address == ""
    await books.set_online("p", True)
    assert sorted(await books.names()) == ["a.txt", "both.txt"]
    assert (await shown(books, "a.txt")).peer_address == "127.0.0.1:9001"


async def test_what_an_offline_peer_announces_is_not_online(books: Library) -> None:
    await books.set_online("p", False)
    await books.announce("p", entry("a.txt"))
    assert await books.names() == []
    assert await books.names(online="false") == ["a.txt"]


async def test_a_forgotten_peer_leaves_what_others_have(books: Library) -> None:
    await books.announce("p", entry("a.txt", "same"), entry("mine.txt"))
    await books.announce("q", entry("b.txt", "same"))
    await books.forget("p")
    assert await books.names(online="false") == ["b.txt"]
    found = await shown(books, "same")
    assert (found.owner, found.sources) == ("q", 1)


# Downloads


async def test_downloads_are_counted_and_stay_when_the_file_goes(books: Library) -> None:
    await books.announce("p", entry("a.txt"), entry("b.txt"))
    numbers = dict(books.rows("SELECT id, n FROM files"))
    a, b = numbers[content_id("a.txt")], numbers[content_id("b.txt")]
    await books.index.count_downloads({a: 2, b: 1})
    await books.index.count_downloads({a: 3})
    await books.index.count_downloads({})
    assert (await shown(books, "a.txt")).downloads == 5
    assert (await books.shelf.totals()).downloads == 6
    await books.announce("p", entry("a.txt", tags=["x"]))
    assert (await shown(books, "a.txt")).downloads == 5
    await books.announce("p", remove=["b.txt"])
    assert (await books.shelf.totals()).downloads == 6


async def test_a_download_of_what_went_is_not_counted_for_what_came(books: Library) -> None:
    await books.announce("p", entry("old.txt"))
    ((old,),) = books.rows("SELECT n FROM files")
    await books.announce("p", entry("new.txt"), remove=["old.txt"])
    await books.index.count_downloads({old: 1})
    assert (await shown(books, "new.txt")).downloads == 0


# Audiences


async def test_what_is_not_for_everybody_is_not_told(books: Library) -> None:
    change = await books.announce("p", entry("secret.txt", audience="friends"), entry("open.txt"))
    assert change.added == [content_id("open.txt")]
    assert (await books.announce("p", remove=["secret.txt"])).removed == []


async def test_hiding_a_file_looks_like_removing_it(books: Library) -> None:
    await books.announce("p", entry("a.txt"))
    assert (await books.announce("p", entry("a.txt", audience="friends"))).removed == [content_id("a.txt")]
    assert await books.names(online="false") == []
    assert (await books.announce("p", entry("a.txt"))).added == [content_id("a.txt")]
    assert await books.names() == ["a.txt"]


async def test_a_hidden_copy_is_no_source_of_an_open_one(books: Library) -> None:
    await books.announce("p", entry("open.txt", "same"))
    await books.announce("q", entry("hidden name.txt", "same", tags=["hush"], audience="friends"))
    found = await shown(books, "same")
    assert (found.sources, found.names, found.tags) == (1, [], [])
    assert len((await books.shelf.holders(content_id("same")))[1]) == 1
    await books.set_online("p", False)
    assert await books.names() == []


async def test_a_peer_is_told_to_share_only_what_everybody_sees(books: Library) -> None:
    await books.announce("p", entry("secret.txt", audience="friends"), entry("open.txt"))
    assert books.rows("SELECT shared_files, shared_bytes FROM peers") == [(1, 8)]


# Whatever happens

WORDS = ("alpha", "beta", "ßeta", "Ünal")
PATHS = st.builds("{}/{}.{}".format, st.sampled_from("xy"), st.sampled_from(WORDS), st.sampled_from(("txt", "mp3")))
ENTRIES = st.builds(
    entry,
    PATHS,
    st.sampled_from("abcde"),
    size=st.sampled_from((1, 1, 1, 2)),
    tags=st.lists(st.sampled_from(("red", "Blue", "ünal")), max_size=2),
    audience=st.sampled_from(("public", "public", "friends")),
)
ANNOUNCED = st.tuples(
    st.just("announce"),
    st.sampled_from("pqr"),
    st.lists(ENTRIES, max_size=4, unique_by=lambda each: each.path),
    st.lists(PATHS, max_size=3),
    st.booleans(),
    st.booleans(),
)
EVENTS = st.one_of(
    ANNOUNCED,
    ANNOUNCED,
    st.tuples(st.just("online"), st.sampled_from("pqr"), st.booleans()),
    st.tuples(st.just("forget"), st.sampled_from("pqr")),
)


async def happen(books: Library, event: tuple[Any, ...]) -> None:
    books.clock.advance(1)
    match event:
        case "announce", peer, add, remove, begin, complete:
            await books.announce(peer, *add, remove=remove, begin=begin, complete=complete)
        case "online", peer, online:
            await books.set_online(peer, online)
        case "forget", peer:
            await books.forget(peer) if peer in books._peers else None


def check(books: Library) -> None:
    """Every guarantee at the head of the module, read from what is committed."""
    of_peer = "p.online, p.registered_from, p.public_key IS NOT NULL AS keyed"
    books_of = f"SELECT e.*, f.downloads, {of_peer} FROM entries e JOIN files f ON f.n = e.file_n JOIN peers p"
    columns, rows = _table(books, f"{books_of} ON p.n = e.peer_n ORDER BY e.n")
    entries = [type("Row", (), dict(zip(columns, row, strict=True))) for row in rows]
    wanted = {key: listing(group) for key, group in groups(entries).items()}
    columns, rows = _table(books, "SELECT * FROM listings")
    kept = {(row["file_n"], row["audience"]): row for row in (dict(zip(columns, r, strict=True)) for r in rows)}
    assert {key: {**row, "n": 0} for key, row in kept.items()} == {key: {**row, "n": 0} for key, row in wanted.items()}
    assert {n for (n,) in books.rows("SELECT n FROM files")} == {each.file_n for each in entries}
    for n, files, size in books.rows("SELECT n, shared_files, shared_bytes FROM peers"):
        mine = [each for each in entries if each.peer_n == n and each.audience == "public"]
        assert (files, size) == (len(mine), sum(each.size for each in mine))


async def check_search(books: Library) -> None:
    """What is found now is what the listings hold, however they came to be as they are."""
    columns, rows = _table(books, "SELECT l.*, f.id FROM listings l JOIN files f ON f.n = l.file_n")
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    shown = [row for row in listed if row["audience"] == "public"]
    for part in (*(word[:3] for word in WORDS), "unal", "red", "mp3", "document", "3", ""):
        for online in (True, False):
            page = await books.page(q=part, online=str(online).lower(), limit=1000)
            wanted = {row["id"] for row in shown if fold(part) in row["text"] and row["online_sources"] >= online}
            assert {info.id for info in page.files} == wanted, (part, online)


def _table(books: Library, query: str) -> tuple[list[str], list[Any]]:
    import sqlite3

    connection = sqlite3.connect(books.database.path)
    try:
        cursor = connection.execute(query)
        return [column[0] for column in cursor.description], cursor.fetchall()
    finally:
        connection.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_every_listing_is_always_what_its_entries_make_it(events: list[tuple[Any, ...]]) -> None:
    async def all_of_it() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with library(Path(folder)) as books:
                for event in events:
                    await happen(books, event)
                    check(books)
                    await check_search(books)

    asyncio.run(all_of_it())


async def test_peers_that_announce_at_once_do_not_disturb_each_other(books: Library) -> None:
    for n in range(8):
        await books.number(f"p{n}")
    await asyncio.gather(
        *(
            books.announce(f"p{n}", *(entry(f"{n}-{m}.txt", f"{m % 5}") for m in range(20)), complete=True)
            for n in range(8)
        )
    )
    check(books)
    page = await books.page()
    assert [info.sources for info in page.files] == [8] * 5
    assert json.loads(books.rows("SELECT json_group_array(DISTINCT shared_files) FROM peers")[0][0]) == [20]
