"""From expressions to columns: SQL of the language as DuckDB queries over a batch, and the tables they look up."""
