-- A database of schema 0001, as the program of that time wrote it. Keep it as it is: later migrations start here.
BEGIN;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE peers (
    n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    address VARCHAR(64) NOT NULL,
    port INTEGER NOT NULL,
    registered_from VARCHAR(64) NOT NULL,
    region VARCHAR(64) NOT NULL,
    version VARCHAR(64) NOT NULL,
    public_key BLOB,
    token_digest BLOB NOT NULL,
    sequence BIGINT NOT NULL,
    catalogue_id VARCHAR(64),
    catalogue_version BIGINT NOT NULL,
    catalogue_round BIGINT NOT NULL,
    shared_files BIGINT NOT NULL,
    shared_bytes BIGINT NOT NULL,
    online BOOLEAN NOT NULL,
    registered_at FLOAT NOT NULL,
    last_seen FLOAT NOT NULL,
    UNIQUE (id)
);
CREATE TABLE files (
    n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id VARCHAR(64) NOT NULL,
    downloads BIGINT NOT NULL,
    UNIQUE (id)
);
CREATE TABLE entries (
    n INTEGER NOT NULL,
    peer_n INTEGER NOT NULL,
    file_n INTEGER NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    category VARCHAR(64) NOT NULL,
    tags TEXT NOT NULL,
    mime VARCHAR(127) NOT NULL,
    modified FLOAT,
    manifest VARCHAR(64),
    audience VARCHAR(64) NOT NULL,
    announced_at FLOAT NOT NULL,
    round BIGINT NOT NULL,
    PRIMARY KEY (n),
    CONSTRAINT one_entry_a_path UNIQUE (peer_n, path),
    FOREIGN KEY(peer_n) REFERENCES peers (n) ON DELETE CASCADE,
    FOREIGN KEY(file_n) REFERENCES files (n) ON DELETE CASCADE
);
CREATE INDEX entries_by_file ON entries (file_n, audience, size, peer_n);
CREATE TABLE listings (
    n INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    file_n INTEGER NOT NULL,
    audience VARCHAR(64) NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    names TEXT NOT NULL,
    extension VARCHAR(32) NOT NULL,
    category VARCHAR(64) NOT NULL,
    tags TEXT NOT NULL,
    mime VARCHAR(127) NOT NULL,
    manifest VARCHAR(64),
    size BIGINT NOT NULL,
    modified FLOAT,
    upload_time FLOAT NOT NULL,
    downloads BIGINT NOT NULL,
    owner_n INTEGER NOT NULL,
    sources INTEGER NOT NULL,
    online_sources INTEGER NOT NULL,
    source_n INTEGER,
    text TEXT NOT NULL,
    CONSTRAINT one_listing_an_audience UNIQUE (file_n, audience),
    FOREIGN KEY(file_n) REFERENCES files (n) ON DELETE CASCADE
);
CREATE INDEX listings_by_name ON listings (sort_name, n);
CREATE INDEX listings_by_size ON listings (size, n);
CREATE INDEX listings_by_date ON listings (upload_time, n);
CREATE INDEX listings_by_downloads ON listings (downloads, n);
CREATE INDEX listings_by_popularity ON listings (online_sources, downloads, n);
CREATE TABLE facts (
    name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);
CREATE VIRTUAL TABLE listing_text USING fts5(text, tokenize='trigram', content='listings', content_rowid='n');
INSERT INTO alembic_version(version_num)
    VALUES ('0001');
INSERT INTO facts(name, value)
    VALUES ('downloads', '3');
INSERT INTO facts(name, value)
    VALUES ('super_peer_id', '0123456789abcdef0123456789abcdef');
INSERT INTO peers(n, id, name, address, port, registered_from, region, version, public_key, token_digest, sequence, catalogue_id, catalogue_version, catalogue_round, shared_files, shared_bytes, online, registered_at, last_seen)
    VALUES (1, 'old-peer', 'Old', '127.0.0.1', 9001, '127.0.0.1', 'attic', '', X'6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b', X'3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0', 7, 'c', 4, 1, 3, 13, 1, 1700000000.0, 1700000000.0);
INSERT INTO files(n, id, downloads)
    VALUES (1, '63f75c890b05405e6e1f047072642b40949dab5912aa9c0ae6f2e654dff943dd', 3);
INSERT INTO files(n, id, downloads)
    VALUES (2, 'd767748a603799c85319dba02a583b3fdbe28ae5f82b2e872d6bb66cf104e62c', 0);
INSERT INTO entries(n, peer_n, file_n, path, name, size, category, tags, mime, modified, manifest, audience, announced_at, round)
    VALUES (1, 1, 1, 'music/song.mp3', 'song.mp3', 4, 'audio', '["Jazz"]', 'audio/mpeg', NULL, NULL, 'public', 1700000000.0, 1);
INSERT INTO entries(n, peer_n, file_n, path, name, size, category, tags, mime, modified, manifest, audience, announced_at, round)
    VALUES (2, 1, 1, 'music/other.mp3', 'other.mp3', 4, 'audio', '[]', 'audio/mpeg', NULL, NULL, 'public', 1700000000.0, 1);
INSERT INTO entries(n, peer_n, file_n, path, name, size, category, tags, mime, modified, manifest, audience, announced_at, round)
    VALUES (3, 1, 2, 'Ünder.txt', 'Ünder.txt', 5, 'document', '[]', 'text/plain', NULL, NULL, 'public', 1700000001.0, 1);
INSERT INTO listings(n, file_n, audience, name, sort_name, names, extension, category, tags, mime, manifest, size, modified, upload_time, downloads, owner_n, sources, online_sources, source_n, text)
    VALUES (1, 1, 'public', 'song.mp3', 'song.mp3', '["other.mp3"]', 'mp3', 'audio', '["Jazz"]', 'audio/mpeg', NULL, 4, NULL, 1700000000.0, 3, 1, 1, 1, 1, 'song.mp3' || char(10) || 'other.mp3' || char(10) || '#jazz' || char(10) || 'audio');
INSERT INTO listings(n, file_n, audience, name, sort_name, names, extension, category, tags, mime, manifest, size, modified, upload_time, downloads, owner_n, sources, online_sources, source_n, text)
    VALUES (2, 2, 'public', 'Ünder.txt', 'under.txt', '[]', 'txt', 'document', '[]', 'text/plain', NULL, 5, NULL, 1700000001.0, 0, 1, 1, 1, 1, 'under.txt' || char(10) || 'document');
INSERT INTO listing_text(rowid, text) SELECT n, text FROM listings;
COMMIT;
