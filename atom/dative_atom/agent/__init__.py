"""The agent: one small process that joins, verifies, schedules and reports, and lets workers do the work."""
