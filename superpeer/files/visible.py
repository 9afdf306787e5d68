"""Who may see what: the one condition through which every read of the index goes.

An entry's `audience` says who may see it. Today everybody sees `public` and nobody anything else, so an audience that
this super-peer does not know hides its entries instead of showing them.
"""

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from superpeer.files.columns import Columns, Mask

PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who reads the index; nobody in particular when nothing is known of them."""

    person: str | None = None


ANYONE = Asker()


def audiences(asker: Asker) -> tuple[str, ...]:
    """The audiences that this asker belongs to."""
    return (PUBLIC,)


def visible(asker: Asker, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The condition on `entries` or `listings` that leaves what `asker` may see."""
    return table.c.audience.in_(audiences(asker))


def visible_documents(asker: Asker, columns: Columns) -> Mask:
    """The same as a mask over what is searched in memory."""
    known = [columns.word(name) for name in audiences(asker)]
    return np.isin(columns.column("audience"), known)
