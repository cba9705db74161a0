"""The controller's keys and tokens, and the command line's key store. Pure, but for key files."""
