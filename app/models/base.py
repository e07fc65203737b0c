"""What all rows have in common: names of constraints, the site in front of every key, types of columns."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# 10¹² fen: ten times what fits into any order that the rules were written for, and far from overflowing a sum.
LARGEST_AMOUNT = 1_000_000_000_000

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The metadata of all tables. Rows are read and written by statements in `app.store`, not as mapped objects."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's declarative name
        str: Text(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
    }


class OfSite:
    """The tenant. First column of every key, so that a database can be split by it."""

    site_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-10)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """A closed set as text: a new member is one constraint away, not a new type."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def amount_in_range(column: str) -> CheckConstraint:
    """Fen, from nothing to 10¹²."""
    return CheckConstraint(f"{column} BETWEEN 0 AND {LARGEST_AMOUNT}", name=column)


def belongs_to(table: str, *columns: str) -> ForeignKeyConstraint:
    """A foreign key that carries the site: without it, another site's row would be accepted."""
    names = ("site_id", *columns)
    return ForeignKeyConstraint(names, [f"{table}.{name}" for name in names])


def table_args(*args: Any) -> tuple[Any, ...]:
    """Spelled as a call, since a tuple of one constraint is easily written without its comma."""
    return args
