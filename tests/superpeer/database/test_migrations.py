"""From the oldest schema to the newest: an old file opens with all that it holds, and a new one is the same."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from common.database.sqlite import DatabaseUnusable
from superpeer.database import connections, tables
from superpeer.database.connections import HEAD, Database
from tests.support.peers import content_id
from tests.support.superpeers import serving

OLDEST = Path(__file__).parent / "schema_0001.sql"


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def old_database(folder: Path) -> Path:
    """A file as the first version of the program wrote it."""
    folder.mkdir()
    path = folder / "superpeer.sqlite"
    with connected(path) as connection:
        connection.executescript(OLDEST.read_text("utf-8"))
    return path


def schema(path: Path) -> set[tuple[str, str, str]]:
    """Every table and index as SQL, its spelling evened out."""
    with connected(path) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(kind, name, re.sub(r"[\s\"']+", " ", sql)) for kind, name, sql in rows}


async def migrated(path: Path) -> Path:
    database = Database(path)
    await database.open()
    await database.close()
    return path


def test_the_newest_revision_is_the_one_that_the_program_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(connections.__file__).parent / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert [revision.revision for revision in script.walk_revisions()][-1] == "0001"


async def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    path = await migrated(tmp_path / "new.sqlite")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()
    assert differences == []


async def test_a_new_file_and_a_migrated_one_are_alike(tmp_path: Path) -> None:
    new = await migrated(tmp_path / "new.sqlite")
    assert schema(await migrated(old_database(tmp_path / "old"))) == schema(new)


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = await migrated(tmp_path / "x.sqlite")
    before = schema(path)
    assert schema(await migrated(path)) == before


async def test_an_old_file_opens_with_all_that_it_holds(tmp_path: Path) -> None:
    old_database(tmp_path / "data")
    async with serving(tmp_path / "data") as site:
        (peer,) = await site.get("/api/v1/peers")
        assert (peer["id"], peer["name"], peer["region"], peer["shared_files"]) == ("old-peer", "Old", "attic", 3)
        assert (peer["is_online"], peer["reputation"]) == (True, 50)
        assert sorted(await site.found()) == ["song.mp3", "Ünder.txt"]
        assert await site.found("unde") == ["Ünder.txt"]
        assert await site.found("so") == ["song.mp3"]
        assert await site.found(tag="jazz") == ["song.mp3"]
        found = await site.get(f"/api/v1/files/{content_id('song')}")
        assert (found["downloads"], found["names"], found["owner"]) == (3, ["other.mp3"], "old-peer")
        stats = await site.get("/api/v1/stats")
        assert (stats["total_files"], stats["total_bytes"], stats["total_downloads"]) == (2, 9, 3)
        headers = {"X-Peer-ID": "old-peer", "Authorization": "Bearer token"}
        beat = {"sequence": 8, "catalogue_id": "c", "catalogue_version": 4}
        answer = await site.call("POST", "/api/v1/peers/heartbeat", beat, headers)
        assert (answer.status, answer.json()["catalogue_version"]) == (200, 4)
        delta = {"catalogue_id": "c", "base_version": 4, "remove": ["music/song.mp3", "music/other.mp3"]}
        assert (await site.call("POST", "/api/v1/files/register", delta, headers)).status == 200
        assert await site.found() == ["Ünder.txt"]


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is one transaction: here, a table that is in the way of the first of them."""
    path = tmp_path / "x.sqlite"
    with connected(path) as connection:
        connection.execute("CREATE TABLE facts (x)")
        connection.commit()
    monkeypatch.setattr(connections, "_inspect", lambda _path: None)
    before = schema(path)
    with pytest.raises(DatabaseUnusable, match="facts already exists"):
        await migrated(path)
    assert schema(path) == before
