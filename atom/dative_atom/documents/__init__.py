"""Batches: documents as columns, with their lineage."""
