"""Errors that tell the caller what to do next: the coded base and the three things an engine can do with one.

Every error that a person or a program may meet has a `Code`: a stable dotted name, the gRPC status it travels under,
one sentence of meaning and the next step. Codes live here, one file an area (`dative.errors.bundle`, …), because the
CLI explains the atom's codes and the atom those of the controller (`dative explain CODE`). This package knows nothing
of files, networks or processes.
"""

from dative.errors.base import (
    CODES,
    EXIT_CODES,
    Code,
    ConfigError,
    DativeError,
    RejectDocument,
    RetryLater,
    StopRun,
    code_named,
    from_status,
)

__all__ = [
    "CODES",
    "EXIT_CODES",
    "Code",
    "ConfigError",
    "DativeError",
    "RejectDocument",
    "RetryLater",
    "StopRun",
    "code_named",
    "from_status",
]
