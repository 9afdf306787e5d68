"""The tables of a peer's library: shares, the entries below them, what is known of a content, the announced catalogue.

An entry's `offered`, `change` and `dirty` follow from its other columns; offers.py alone decides them. Whoever changes
an entry sets `review`.
"""

MIGRATIONS = (
    """
    CREATE TABLE share (
        id INTEGER PRIMARY KEY,
        path BLOB NOT NULL UNIQUE,                     -- absolute, without links
        label TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL CHECK (kind IN ('folder', 'file')),
        configured INTEGER NOT NULL,                   -- named by the configuration of this start
        requested INTEGER NOT NULL,                    -- by the owner, at run time
        unshared INTEGER NOT NULL DEFAULT 0,           -- by the owner, which counts for more than the configuration
        active INTEGER NOT NULL DEFAULT 0,             -- offered under its own label: no other share covers it
        tags TEXT NOT NULL DEFAULT '[]',
        audience TEXT,
        device INTEGER,                                -- what the root was when it was last read
        inode INTEGER,
        retired_at REAL                                -- since when it is neither configured nor requested
    ) STRICT;

    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        share INTEGER NOT NULL REFERENCES share (id) ON DELETE CASCADE,
        folder BLOB NOT NULL,                          -- relative to the share's root
        name BLOB NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        device INTEGER NOT NULL,
        hash TEXT,                                     -- of these bytes at this size, time and inode; NULL: unreadable
        head INTEGER NOT NULL,                         -- CRC-32 of the beginning, to know a moved file by
        state INTEGER NOT NULL DEFAULT 0,              -- see State
        withdraw_at REAL,                              -- when it is offered no longer, unless it is back before
        withheld INTEGER NOT NULL DEFAULT 0,           -- unshared by the owner
        path TEXT UNIQUE,                              -- in the catalogue; NULL: given up to another entry
        category TEXT NOT NULL,
        tags TEXT NOT NULL,
        audience TEXT NOT NULL,
        words TEXT NOT NULL,                           -- what a search looks through, case folded
        shared_at REAL NOT NULL,
        offered INTEGER NOT NULL DEFAULT 0,
        change INTEGER NOT NULL DEFAULT 0,             -- number of the change that the catalogue last saw in it
        announced INTEGER NOT NULL DEFAULT 0,          -- the super-peer has something under its path
        dirty INTEGER NOT NULL DEFAULT 0,              -- and that is not what it should have
        review INTEGER NOT NULL DEFAULT 0,
        UNIQUE (share, folder, name)
    ) STRICT;
    CREATE INDEX entry_by_inode ON entry (inode);
    CREATE INDEX entry_by_hash ON entry (hash, id);
    CREATE INDEX entry_offered ON entry (shared_at, id) WHERE offered;
    CREATE INDEX entry_dirty ON entry (change, id) WHERE dirty;
    CREATE INDEX entry_review ON entry (id) WHERE review;
    CREATE INDEX entry_leaving ON entry (withdraw_at) WHERE offered AND withdraw_at IS NOT NULL;
    CREATE INDEX entry_here ON entry (share, folder) WHERE state < 2;

    CREATE TABLE content (
        hash TEXT PRIMARY KEY,
        downloads INTEGER NOT NULL DEFAULT 0,
        tags TEXT,                                     -- the owner's; NULL: those of the name and of the share
        audience TEXT,
        withheld INTEGER NOT NULL DEFAULT 0            -- unshared by the owner, wherever it turns up
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE exclusion (path BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

    CREATE TABLE catalogue (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id TEXT NOT NULL,
        version INTEGER NOT NULL,                      -- announced last
        restarting INTEGER NOT NULL,                   -- a new catalogue was begun and is not complete yet
        change INTEGER NOT NULL DEFAULT 0,             -- number of the last change
        files INTEGER NOT NULL DEFAULT 0,              -- entries offered, and their size in bytes
        bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO catalogue (only, id, version, restarting) VALUES (1, lower(hex(randomblob(16))), 0, 1);

    CREATE TRIGGER entry_altered AFTER UPDATE OF offered, size ON entry
    WHEN old.offered <> new.offered OR old.size <> new.size BEGIN
        UPDATE catalogue SET
            files = files + new.offered - old.offered,
            bytes = bytes + new.offered * new.size - old.offered * old.size;
    END;
    CREATE TRIGGER entry_deleted AFTER DELETE ON entry WHEN old.offered BEGIN
        UPDATE catalogue SET files = files - 1, bytes = bytes - old.size;
    END;
    """,
    """
    CREATE TABLE reading (                             -- what reading a content told of it besides its id
        hash TEXT PRIMARY KEY,
        digest TEXT,                                   -- of the manifest; NULL: not made yet
        size INTEGER NOT NULL,
        xxh3 BLOB,                                     -- XXH3-128 of all bytes; NULL: not made yet
        since REAL NOT NULL,
        pieces BLOB                                    -- the hashes that the manifest consists of, 32 bytes each
    ) STRICT;

    ALTER TABLE entry ADD COLUMN checked_at REAL;      -- when its bytes were last read through; NULL: not since hashed
    ALTER TABLE entry ADD COLUMN damage TEXT;          -- see Damage; NULL: none is known
    ALTER TABLE entry ADD COLUMN damage_ctime INTEGER; -- the file's ctime_ns then: another may be a repair
    CREATE INDEX entry_checked ON entry (checked_at, id);
    CREATE INDEX entry_damaged ON entry (id) WHERE damage IS NOT NULL;
    ALTER TABLE catalogue ADD COLUMN algorithm TEXT NOT NULL DEFAULT 'sha256';
    """,
    """
    ALTER TABLE share ADD COLUMN is_cache INTEGER NOT NULL DEFAULT 0;  -- of finished downloads; no scan knows of it
    ALTER TABLE entry ADD COLUMN used_at REAL;         -- when a cached file was fetched or served last
    """,
)


class Damage:
    """Why a file is not offered although its size, time and inode are those it was hashed with."""

    DIFFERS = "differs"
    UNREADABLE = "unreadable"


class State:
    """Where an entry's file is: as it was HERE, CHANGED and to be hashed, MISSING with its disk, or GONE."""

    HERE = 0
    CHANGED = 1
    MISSING = 2
    GONE = 3
