"""The process language: model, loading, validation, expressions, lineage, catalog. See README.md for the rooms."""
