"""Every change of a listing gets a number, so that what searches in memory can follow.

What SQLite itself searched in before (three-letter pieces, orders) is not needed any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TRIGGER = (
    "CREATE TRIGGER listing_{0} AFTER {0} ON listings BEGIN INSERT INTO listing_changes(listing_n) VALUES ({1}.n); END"
)


def upgrade() -> None:
    op.create_table(
        "listing_changes",
        sa.Column("n", Number, primary_key=True, autoincrement=True),
        sa.Column("listing_n", Number, nullable=False),
        sqlite_autoincrement=True,
    )
    for order in ("name", "size", "date", "downloads", "popularity"):
        op.drop_index(f"listings_by_{order}", "listings")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE listing_text")
        for event, row in (("insert", "new"), ("update", "new"), ("delete", "old")):
            op.execute(TRIGGER.format(event, row))
