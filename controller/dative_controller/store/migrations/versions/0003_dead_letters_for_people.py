"""Dead letters are found by queue, assignee and age, and ordered by their revision."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from dative.v1 import types_pb2

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("queue", "assignee", "created_ms", "revision")
_NARROW = op.f("ix_dead_letter_environment_id_state")
_WIDE = op.f("ix_dead_letter_environment_id_state_dead_letter_id")


def upgrade() -> None:
    for name in ("queue", "assignee"):
        op.add_column("dead_letter", sa.Column(name, sa.Text(), server_default="", nullable=False))
    for name in ("created_ms", "revision"):
        op.add_column("dead_letter", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.drop_index(_NARROW, table_name="dead_letter")
    op.create_index(_WIDE, "dead_letter", ["environment_id", "state", "dead_letter_id"], unique=False)
    _fill()


def _fill() -> None:
    """What the new columns say of the letters that are there stands in their bodies."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in ("dead_letter_id", "body", "queue", "created_ms")
    ]
    table = sa.table("dead_letter", *columns)
    connection = op.get_bind()
    for identity, body in connection.execute(sa.select(table.c.dead_letter_id, table.c.body)).all():
        letter = types_pb2.DeadLetter.FromString(body)
        values = {"queue": letter.queue, "created_ms": letter.created_at.ToMilliseconds()}
        connection.execute(sa.update(table).where(table.c.dead_letter_id == identity).values(**values))


def downgrade() -> None:
    op.drop_index(_WIDE, table_name="dead_letter")
    op.create_index(_NARROW, "dead_letter", ["environment_id", "state"], unique=False)
    for name in _COLUMNS:
        op.drop_column("dead_letter", name)
