"""Executions that write nothing: dry runs and rehearsals of edited dead letters."""
