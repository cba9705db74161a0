"""Bring a database to this version's schema, at every start, once however many controllers start together."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from dative.errors import store as codes
from sqlalchemy import Connection, text

from dative_controller.store.database import Database, refuse

_ADVISORY_LOCK = 0x64617469
"""PostgreSQL's name for "a controller migrates": any fixed number that nobody else in this database uses."""


def configuration(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database) -> None:
    """Migrate to the newest version. Errors: store.newer_schema."""
    database.transact(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as unknown:
        raise refuse(codes.NEWER, f"the database's schema is unknown to this version: {unknown}") from unknown
