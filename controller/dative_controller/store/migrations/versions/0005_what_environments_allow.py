"""What an environment allows processes beyond their rights: a word a line."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("environment", sa.Column("allows", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("environment", "allows")
