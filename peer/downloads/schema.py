"""The tables of a peer's queue of downloads. What lies on the disk of each is found out by its bytes, not here."""

MIGRATIONS = (
    """
    CREATE TABLE download (
        n INTEGER PRIMARY KEY AUTOINCREMENT,           -- the order in which they were added
        id TEXT NOT NULL UNIQUE,
        file_id TEXT NOT NULL,
        folder TEXT NOT NULL,                          -- absolute
        name TEXT NOT NULL,                            -- one component, safe on any disk
        path TEXT NOT NULL,                            -- where it lies, or is to lie
        size INTEGER NOT NULL,
        state TEXT NOT NULL,                           -- queued, paused, stalled, finished or failed
        why TEXT NOT NULL DEFAULT '',
        code TEXT NOT NULL DEFAULT '',                 -- the same for programs: an error's code, or already_there
        priority INTEGER NOT NULL DEFAULT 0,
        sequential INTEGER NOT NULL DEFAULT 0,
        verified INTEGER NOT NULL DEFAULT 0,           -- bytes, as it was last noted, for show
        failures INTEGER NOT NULL DEFAULT 0,           -- in a row
        sources TEXT NOT NULL DEFAULT '[]',            -- JSON: those known last, for when the super-peer is away
        added REAL NOT NULL,
        finished REAL
    ) STRICT;
    CREATE INDEX download_by_file ON download (file_id);
    CREATE INDEX download_open ON download (priority DESC, n) WHERE state IN ('queued', 'stalled');
    """,
)
