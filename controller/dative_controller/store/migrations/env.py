"""What Alembic runs: the migrations over the connection that `store.migrate` hands in."""

from alembic import context

from dative_controller.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
