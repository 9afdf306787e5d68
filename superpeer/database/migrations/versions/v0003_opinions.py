"""What reporters think of sources outlives a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "opinions",
        sa.Column("source_n", Number, sa.ForeignKey("peers.n", ondelete="CASCADE"), nullable=False),
        sa.Column("reporter_n", Number, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("good", sa.Float, nullable=False),
        sa.Column("bad", sa.Float, nullable=False),
        sa.Column("speed", sa.Float),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("source_n", "reporter_n"),
    )
