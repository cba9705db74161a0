"""Alembic migrations of the controller's store, run by `store.migrate` at every start."""
