"""The `dative` command: what administrators, deployers and the people on call type.

The top floor of the controller's package: it may use what lies below, nothing uses it. `main` holds the tree and imports
almost nothing; each noun's commands are one file in `commands/` and are imported when that noun is called.
"""
