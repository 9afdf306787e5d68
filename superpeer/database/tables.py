"""The tables, as the newest migration leaves them.

An entry is one path that one peer announced; a file is one content, whoever has it; a listing is what one audience
may see of one file, derived from the entries of that audience in the same transaction that changes them. Times are
seconds since the epoch, `n` is a row's number inside the database, never shown and never given twice where it may be
remembered (peers, files, listings).
"""

import sqlalchemy as sa

metadata = sa.MetaData()
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

peers = sa.Table(
    "peers",
    metadata,
    sa.Column("n", Number, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("registered_from", sa.String(64), nullable=False),  # where it was seen, whatever it announces
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("public_key", sa.LargeBinary(32)),
    sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("catalogue_id", sa.String(64)),
    sa.Column("catalogue_version", sa.BigInteger, nullable=False),
    sa.Column("catalogue_round", sa.BigInteger, nullable=False),
    sa.Column("shared_files", sa.BigInteger, nullable=False),
    sa.Column("shared_bytes", sa.BigInteger, nullable=False),
    sa.Column("online", sa.Boolean, nullable=False),
    sa.Column("registered_at", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sqlite_autoincrement=True,
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("n", Number, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("downloads", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("n", Number, primary_key=True, autoincrement=True),
    sa.Column("peer_n", Number, sa.ForeignKey("peers.n", ondelete="CASCADE"), nullable=False),
    sa.Column("file_n", Number, sa.ForeignKey("files.n", ondelete="CASCADE"), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("category", sa.String(64), nullable=False),
    sa.Column("tags", sa.Text, nullable=False),  # a JSON array
    sa.Column("mime", sa.String(127), nullable=False),
    sa.Column("modified", sa.Float),
    sa.Column("manifest", sa.String(64)),
    sa.Column("audience", sa.String(64), nullable=False),
    sa.Column("announced_at", sa.Float, nullable=False),
    sa.Column("round", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("peer_n", "path", name="one_entry_a_path"),
    sa.Index("entries_by_file", "file_n", "audience", "size", "peer_n"),
)

listings = sa.Table(
    "listings",
    metadata,
    sa.Column("n", Number, primary_key=True, autoincrement=True),
    sa.Column("file_n", Number, sa.ForeignKey("files.n", ondelete="CASCADE"), nullable=False),
    sa.Column("audience", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sort_name", sa.Text, nullable=False),  # folded
    sa.Column("names", sa.Text, nullable=False),  # a JSON array: every other name
    sa.Column("extension", sa.String(32), nullable=False),
    sa.Column("category", sa.String(64), nullable=False),
    sa.Column("tags", sa.Text, nullable=False),  # a JSON array
    sa.Column("mime", sa.String(127), nullable=False),
    sa.Column("manifest", sa.String(64)),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.Float),
    sa.Column("upload_time", sa.Float, nullable=False),
    sa.Column("downloads", sa.BigInteger, nullable=False),
    sa.Column("owner_n", Number, nullable=False),
    sa.Column("sources", sa.Integer, nullable=False),
    sa.Column("online_sources", sa.Integer, nullable=False),
    sa.Column("source_n", Number),  # one of those online
    sa.Column("text", sa.Text, nullable=False),  # what is searched
    sa.UniqueConstraint("file_n", "audience", name="one_listing_an_audience"),
    sqlite_autoincrement=True,
)

# One row for each change of a listing, written by triggers: what searches in memory follows them.
listing_changes = sa.Table(
    "listing_changes",
    metadata,
    sa.Column("n", Number, primary_key=True, autoincrement=True),
    sa.Column("listing_n", Number, nullable=False),
    sqlite_autoincrement=True,
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# What one reporter has seen of one source; the reporter may have been forgotten since.
opinions = sa.Table(
    "opinions",
    metadata,
    sa.Column("source_n", Number, sa.ForeignKey("peers.n", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("reporter_n", Number, primary_key=True, autoincrement=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("verified", sa.Boolean, nullable=False),
    sa.Column("good", sa.Float, nullable=False),
    sa.Column("bad", sa.Float, nullable=False),
    sa.Column("speed", sa.Float),  # bytes a second
    sa.Column("at", sa.Float, nullable=False),
)
