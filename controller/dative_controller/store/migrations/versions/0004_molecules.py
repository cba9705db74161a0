"""Molecules with settings and status, atoms that are quarantined, attempts of an execution, rollouts member by member."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ATOM_TEXTS = ("boot_nonce", "former_nonce", "instance_id", "boot_host", "quarantine")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _int(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=default, autoincrement=False, nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=True)


def _table(name: str, *columns: sa.Column[str] | sa.Column[int] | sa.Column[bytes], key: tuple[str, ...]) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")))


def upgrade() -> None:
    for name in _ATOM_TEXTS:
        op.add_column("atom", _text(name))
    op.add_column("atom", _int("nonce_changed_ms"))
    op.add_column("execution", _int("fencing_token"))
    place = (_key("environment_id"), _key("name"))
    _table("molecule", *place, _int("version"), _int("created_ms"), _bytes("settings"), key=("environment_id", "name"))
    place = (_key("environment_id"), _key("name"))
    _table("molecule_status", *place, _int("term"), _int("observed_ms"), _bytes("body"), key=("environment_id", "name"))
    _table(
        "execution_attempt",
        _key("execution_id"),
        _int("fencing_token", None),
        _int("attempt", None),
        _text("atom_id"),
        _int("state"),
        _int("started_ms"),
        _int("ended_ms"),
        _text("reason"),
        _text("trace_id"),
        key=("execution_id", "fencing_token", "attempt"),
    )
    _rollouts()


def _rollouts() -> None:
    texts = (_text(name) for name in ("environment_id", "molecule_id", "base_id", "state", "reason", "failed_atom_id"))
    _table(
        "rollout",
        _key("deployment_id"),
        *texts,
        _int("max_unavailable", "1"),
        _int("gate_ms"),
        _int("activate_ms"),
        _bytes("return_envelope"),
        _int("return_until_ms"),
        _int("returned_as"),
        key=("deployment_id",),
    )
    op.create_index(op.f("ix_rollout_state"), "rollout", ["state"], unique=False)
    _table(
        "rollout_member",
        _key("deployment_id"),
        _key("atom_id"),
        _text("step"),
        _int("admitted_ms"),
        _int("active_ms"),
        key=("deployment_id", "atom_id"),
    )


def downgrade() -> None:
    for table in ("rollout_member", "rollout", "execution_attempt", "molecule_status", "molecule"):
        op.drop_table(table)
    op.drop_column("execution", "fencing_token")
    for name in (*_ATOM_TEXTS, "nonce_changed_ms"):
        op.drop_column("atom", name)
