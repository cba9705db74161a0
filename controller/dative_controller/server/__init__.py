"""The serving program: two listeners, the admin API, who may call what, and the controller's start and stop."""
