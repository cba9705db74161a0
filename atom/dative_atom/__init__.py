"""The atom: a light agent that verifies bundles, runs processes in worker processes and keeps their payload at home."""
