"""The first schema: every table of the controller's store."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_account")),
    )
    op.create_table(
        "answered_request",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), server_default="", nullable=False),
        sa.Column("request_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "actor", name=op.f("pk_answered_request")),
    )
    op.create_index(op.f("ix_answered_request_at_ms"), "answered_request", ["at_ms"], unique=False)
    op.create_table(
        "atom",
        sa.Column("atom_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("molecule_id", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.LargeBinary(), nullable=True),
        sa.Column("seal_public_key", sa.LargeBinary(), nullable=True),
        sa.Column("csr", sa.LargeBinary(), nullable=True),
        sa.Column("token_id", sa.Text(), server_default="", nullable=False),
        sa.Column("key_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("enrolled_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("certificate_serial", sa.Text(), server_default="", nullable=False),
        sa.Column("certificate_expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("session", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("connected", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("controller_id", sa.Text(), server_default="", nullable=False),
        sa.Column("draining", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("observed", sa.LargeBinary(), nullable=True),
        sa.Column("phase", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("status", sa.LargeBinary(), nullable=True),
        sa.Column("acked_epoch", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("acked_generation", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("heartbeat", sa.LargeBinary(), nullable=True),
        sa.Column("components", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("atom_id", name=op.f("pk_atom")),
        sa.UniqueConstraint("environment_id", "name", name=op.f("uq_atom_environment_id_name")),
        sa.UniqueConstraint("token_id", "key_digest", name=op.f("uq_atom_token_id_key_digest")),
    )
    op.create_index(op.f("ix_atom_environment_id_molecule_id"), "atom", ["environment_id", "molecule_id"], unique=False)
    op.create_table(
        "atom_ack",
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("atom_id", sa.Text(), nullable=False),
        sa.Column("phase", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("status", sa.LargeBinary(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "atom_id", name=op.f("pk_atom_ack")),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("object", sa.Text(), server_default="", nullable=False),
        sa.Column("decision", sa.Text(), server_default="", nullable=False),
        sa.Column("request_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("previous_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("hash", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit")),
    )
    op.create_table(
        "blob",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blob")),
    )
    op.create_table(
        "bootstrap_token",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("used", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_bootstrap_token")),
    )
    op.create_table(
        "change",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("molecule_id", sa.Text(), server_default="", nullable=False),
        sa.Column("atom_id", sa.Text(), server_default="", nullable=False),
        sa.Column("at_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_change")),
    )
    op.create_table(
        "command",
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("atom_id", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_command")),
    )
    op.create_index(op.f("ix_command_atom_id_state"), "command", ["atom_id", "state"], unique=False)
    op.create_index(op.f("ix_command_expires_ms"), "command", ["expires_ms"], unique=False)
    op.create_table(
        "connection",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), server_default="", nullable=False),
        sa.Column("settings", sa.Text(), server_default="", nullable=False),
        sa.Column("secrets", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_connection")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("dead_letter_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("atom_id", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_id", sa.Text(), server_default="", nullable=False),
        sa.Column("process", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("state_rank", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("document", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("dead_letter_id", name=op.f("pk_dead_letter")),
    )
    op.create_index(
        op.f("ix_dead_letter_environment_id_state"), "dead_letter", ["environment_id", "state"], unique=False
    )
    op.create_index(op.f("ix_dead_letter_execution_id"), "dead_letter", ["execution_id"], unique=False)
    op.create_table(
        "deployment",
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("molecule_id", sa.Text(), server_default="", nullable=False),
        sa.Column("release_epoch", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("manifest_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("processes", sa.Text(), server_default="", nullable=False),
        sa.Column("atom_ids", sa.Text(), server_default="", nullable=False),
        sa.Column("traceparent", sa.Text(), server_default="", nullable=False),
        sa.Column("rollback_of", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", name=op.f("pk_deployment")),
        sa.UniqueConstraint(
            "environment_id",
            "molecule_id",
            "release_epoch",
            "generation",
            name=op.f("uq_deployment_environment_id_molecule_id_release_epoch_generation"),
        ),
    )
    op.create_table(
        "deployment_blob",
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "digest", name=op.f("pk_deployment_blob")),
    )
    op.create_index(op.f("ix_deployment_blob_digest"), "deployment_blob", ["digest"], unique=False)
    op.create_table(
        "desired_state",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("molecule_id", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "molecule_id", name=op.f("pk_desired_state")),
    )
    op.create_table(
        "environment",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("production", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("require_approval", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_environment")),
        sa.UniqueConstraint("name", name=op.f("uq_environment_name")),
    )
    op.create_table(
        "event",
        sa.Column("atom_id", sa.Text(), nullable=False),
        sa.Column("spool_epoch", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("occurred_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("atom_id", "spool_epoch", "sequence", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_occurred_ms"), "event", ["occurred_ms"], unique=False)
    op.create_table(
        "execution",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("atom_id", sa.Text(), server_default="", nullable=False),
        sa.Column("process", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("documents_read", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("started_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("reported_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("trace_id", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_execution")),
    )
    op.create_index(
        op.f("ix_execution_environment_id_process"), "execution", ["environment_id", "process"], unique=False
    )
    op.create_index(op.f("ix_execution_trace_id"), "execution", ["trace_id"], unique=False)
    op.create_table(
        "join_token",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("molecule_id", sa.Text(), server_default="", nullable=False),
        sa.Column("secret_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("max_uses", sa.BigInteger(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("uses", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("require_approval", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_join_token")),
    )
    op.create_table(
        "organization",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("store_epoch", sa.BigInteger(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("revocation_version", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("audit_sequence", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("audit_head", sa.Text(), server_default="", nullable=False),
        sa.Column("ca_pin", sa.Text(), server_default="", nullable=False),
        sa.Column("change_sequence", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_organization")),
    )
    op.create_table(
        "override",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_override")),
    )
    op.create_table(
        "refresh_token",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("used", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("revoked", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_token")),
    )
    op.create_index(op.f("ix_refresh_token_family"), "refresh_token", ["family"], unique=False)
    op.create_table(
        "role_binding",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "role", "environment_id", name=op.f("pk_role_binding")),
    )
    op.create_table(
        "sealed_set",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("set_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "version", name=op.f("pk_sealed_set")),
    )
    op.create_table(
        "secret_name",
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("set_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("set_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_secret_name")),
    )
    op.create_table(
        "span",
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("span_id", sa.Text(), nullable=False),
        sa.Column("parent_span_id", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("start_ns", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("end_ns", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("service", sa.Text(), server_default="", nullable=False),
        sa.Column("instance", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("status_message", sa.Text(), server_default="", nullable=False),
        sa.Column("attributes", sa.Text(), server_default="", nullable=False),
        sa.Column("links", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("trace_id", "span_id", name=op.f("pk_span")),
    )
    op.create_index(op.f("ix_span_start_ns"), "span", ["start_ns"], unique=False)
    op.create_table(
        "spool_position",
        sa.Column("atom_id", sa.Text(), nullable=False),
        sa.Column("spool_epoch", sa.Text(), nullable=False),
        sa.Column("committed_sequence", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("atom_id", "spool_epoch", name=op.f("pk_spool_position")),
    )
    op.create_table(
        "tracked_batch",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("atom_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("process", sa.Text(), server_default="", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("received_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", "batch", "atom_id", name=op.f("pk_tracked_batch")),
    )
    op.create_index(op.f("ix_tracked_batch_received_ms"), "tracked_batch", ["received_ms"], unique=False)
    op.create_table(
        "trust_document",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), server_default="0", autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_trust_document")),
    )


def downgrade() -> None:
    op.drop_table("trust_document")
    op.drop_index(op.f("ix_tracked_batch_received_ms"), table_name="tracked_batch")
    op.drop_table("tracked_batch")
    op.drop_table("spool_position")
    op.drop_index(op.f("ix_span_start_ns"), table_name="span")
    op.drop_table("span")
    op.drop_table("secret_name")
    op.drop_table("sealed_set")
    op.drop_table("role_binding")
    op.drop_index(op.f("ix_refresh_token_family"), table_name="refresh_token")
    op.drop_table("refresh_token")
    op.drop_table("override")
    op.drop_table("organization")
    op.drop_table("join_token")
    op.drop_index(op.f("ix_execution_trace_id"), table_name="execution")
    op.drop_index(op.f("ix_execution_environment_id_process"), table_name="execution")
    op.drop_table("execution")
    op.drop_index(op.f("ix_event_occurred_ms"), table_name="event")
    op.drop_table("event")
    op.drop_table("environment")
    op.drop_table("desired_state")
    op.drop_index(op.f("ix_deployment_blob_digest"), table_name="deployment_blob")
    op.drop_table("deployment_blob")
    op.drop_table("deployment")
    op.drop_index(op.f("ix_dead_letter_execution_id"), table_name="dead_letter")
    op.drop_index(op.f("ix_dead_letter_environment_id_state"), table_name="dead_letter")
    op.drop_table("dead_letter")
    op.drop_table("connection")
    op.drop_index(op.f("ix_command_expires_ms"), table_name="command")
    op.drop_index(op.f("ix_command_atom_id_state"), table_name="command")
    op.drop_table("command")
    op.drop_table("change")
    op.drop_table("bootstrap_token")
    op.drop_table("blob")
    op.drop_table("audit")
    op.drop_table("atom_ack")
    op.drop_index(op.f("ix_atom_environment_id_molecule_id"), table_name="atom")
    op.drop_table("atom")
    op.drop_index(op.f("ix_answered_request_at_ms"), table_name="answered_request")
    op.drop_table("answered_request")
    op.drop_table("account")
