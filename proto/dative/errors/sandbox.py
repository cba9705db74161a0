"""What goes wrong with the sandbox itself. What the simulated systems answer are their own errors, in their own words."""

from dataclasses import dataclass

from dative.errors.base import Code, DativeError

NOT_STARTED = Code(
    "sandbox.not_started",
    "FAILED_PRECONDITION",
    "A simulated system could not start or did not stop in time.",
    "Choose free ports (0 picks one) and readable certificate files, then start it again.",
)
BAD_COMMAND = Code(
    "sandbox.bad_command",
    "INVALID_ARGUMENT",
    "The control plane of a simulated system got a command it can not carry out.",
    "Correct what the message names; the commands stand in atom/dative_sandbox/README.md.",
)


@dataclass(eq=False)
class SandboxNotStarted(DativeError):
    """The simulator did not come up, or is used before it did."""

    default_code = NOT_STARTED


@dataclass(eq=False)
class BadCommand(DativeError):
    """A control command names something unknown or misses a value. Nothing was changed."""

    default_code = BAD_COMMAND
