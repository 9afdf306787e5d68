"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for make in (_peers, _files, _entries, _listings, _facts):
        make()
    if op.get_bind().dialect.name == "sqlite":
        # The text of each listing in three-letter pieces, so that any part of a name can be found.
        columns = "text, tokenize='trigram', content='listings', content_rowid='n'"
        op.execute(f"CREATE VIRTUAL TABLE listing_text USING fts5({columns})")


def _peers() -> None:
    op.create_table(
        "peers",
        sa.Column("n", Number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("registered_from", sa.String(64), nullable=False),
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


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("n", Number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("downloads", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )


def _entries() -> None:
    op.create_table(
        "entries",
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
    )
    op.create_index("entries_by_file", "entries", ["file_n", "audience", "size", "peer_n"])


def _listings() -> None:
    op.create_table(
        "listings",
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
        sa.Column("source_n", Number),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("file_n", "audience", name="one_listing_an_audience"),
        sqlite_autoincrement=True,
    )
    op.create_index("listings_by_name", "listings", ["sort_name", "n"])
    op.create_index("listings_by_size", "listings", ["size", "n"])
    op.create_index("listings_by_date", "listings", ["upload_time", "n"])
    op.create_index("listings_by_downloads", "listings", ["downloads", "n"])
    op.create_index("listings_by_popularity", "listings", ["online_sources", "downloads", "n"])


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
