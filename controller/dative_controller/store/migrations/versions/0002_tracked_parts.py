"""Tracked documents in parts with an index over their keys. What was stored goes on being found, as parts to be indexed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", autoincrement=False, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _number() -> sa.Column[int]:
    return sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "tracked_part",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        _text("execution_id"),
        _int("batch"),
        _int("part"),
        _text("atom_id"),
        _text("environment_id"),
        _text("process"),
        _int("process_version"),
        _int("attempt"),
        _int("rows"),
        _int("settled_ms"),
        _int("received_ms"),
        sa.UniqueConstraint(
            "execution_id", "batch", "part", "atom_id", name=op.f("uq_tracked_part_execution_id_batch_part_atom_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tracked_part")),
    )
    op.create_index(op.f("ix_tracked_part_received_ms"), "tracked_part", ["received_ms"])
    op.create_table(
        "tracked_body",
        _number(),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tracked_body")),
    )
    op.create_table(
        "tracked_fresh", _number(), _int("rows"), sa.PrimaryKeyConstraint("number", name=op.f("pk_tracked_fresh"))
    )
    op.create_table(
        "tracked_hashing",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_tracked_hashing")),
    )
    op.create_table(
        "tracked_segment",
        sa.Column("segment_id", sa.Text(), nullable=False),
        _int("level"),
        _int("stride"),
        _int("ordinal_bytes"),
        _int("entries"),
        _int("first_number"),
        _int("last_number"),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_tracked_segment")),
    )
    op.create_table(
        "tracked_page",
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("segment_id", "bucket", name=op.f("pk_tracked_page")),
    )
    op.execute(
        "INSERT INTO tracked_part (execution_id, batch, atom_id, environment_id, process, rows, settled_ms, received_ms)"
        " SELECT execution_id, batch, atom_id, environment_id, process, rows, received_ms, received_ms"
        " FROM tracked_batch ORDER BY received_ms, execution_id, batch"
    )
    op.execute(
        "INSERT INTO tracked_body (number, body) SELECT p.number, b.body FROM tracked_part p JOIN tracked_batch b"
        " ON b.execution_id = p.execution_id AND b.batch = p.batch AND b.atom_id = p.atom_id"
    )
    op.execute("INSERT INTO tracked_fresh (number, rows) SELECT number, rows FROM tracked_part")
    op.drop_index(op.f("ix_tracked_batch_received_ms"), table_name="tracked_batch")
    op.drop_table("tracked_batch")


def downgrade() -> None:
    op.create_table(
        "tracked_batch",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("atom_id", sa.Text(), nullable=False),
        _text("environment_id"),
        _text("process"),
        _int("rows"),
        _int("received_ms"),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", "batch", "atom_id", name=op.f("pk_tracked_batch")),
    )
    op.create_index(op.f("ix_tracked_batch_received_ms"), "tracked_batch", ["received_ms"])
    op.execute(
        "INSERT INTO tracked_batch (execution_id, batch, atom_id, environment_id, process, rows, received_ms, body)"
        " SELECT execution_id, batch, atom_id, environment_id, process, rows, received_ms, body"
        " FROM tracked_part p JOIN tracked_body b ON b.number = p.number WHERE part = 0"
    )
    op.drop_index(op.f("ix_tracked_part_received_ms"), table_name="tracked_part")
    for table in (
        "tracked_page",
        "tracked_segment",
        "tracked_hashing",
        "tracked_fresh",
        "tracked_body",
        "tracked_part",
    ):
        op.drop_table(table)
