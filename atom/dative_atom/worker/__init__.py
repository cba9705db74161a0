"""The process beside the agent in which executions run."""
