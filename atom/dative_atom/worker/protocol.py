"""What an agent and its worker processes say to each other: msgpack messages over a socket pair, length first.

The agent starts `python -m dative_atom.worker --fd N` and keeps it warm; the worker says Ready and then runs one
execution at a time. Secrets travel here and nowhere else (no argument, no environment). This file imports neither
engine nor agent, because both sides do.
"""

from __future__ import annotations

import msgspec

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""A longer frame is a defect of the other side: the connection is closed and the worker replaced."""
FENCED = "fenced"
"""`Finished.state` of an attempt that stopped because its member may act no more: see `Finished`."""


class Binding(msgspec.Struct, frozen=True):
    """A connection as the environment binds it, secrets resolved."""

    name: str
    connector: str
    settings: dict[str, str]
    secrets: dict[str, str]

    def __repr__(self) -> str:
        return f"Binding(name={self.name!r}, connector={self.connector!r})"


class Keys(msgspec.Struct, frozen=True):
    """The environment's mask keys, version -> hex: see `dative.secrets.mask_keys`."""

    mask: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"Keys(versions={sorted(self.mask)})"


class Limits(msgspec.Struct, frozen=True):
    """What one execution may use. memory_bytes bounds the growth of the worker's private memory, not only DuckDB's pool.

    batch_rows: with 32,768 a million rows peak at 1.2 × the memory of a hundred thousand, with 65,536 at 1.4 to 1.5 ×.
    """

    memory_bytes: int = 2 * 1024**3
    batch_rows: int = 32_768
    threads: int = 1


class RunExecution(msgspec.Struct, frozen=True, tag="run"):
    """Run this planned execution to its end. Paths are of verified files on the atom's own disk.

    artifacts: artifact name -> path. process: the artifact with the process' canonical JSON.
    resource: OpenTelemetry resource attributes (service.instance.id, dative.atom.id, …).
    traceparent: of the caller, empty for a new root. overrides: parameter -> value.
    allows: what the atom lets a process do beyond its rights: "scripts". journal: see `journal.open`, as its secret, the
    file with its key, and its owner. session: of the agent's `Deadline`, under which it runs; its token and it were
    given together.
    """

    execution_id: str
    process: str
    artifacts: dict[str, str]
    bindings: list[Binding]
    environment_id: str
    environment: str
    journal: str
    traceparent: str = ""
    keep_trace: bool = False
    parameters: dict[str, str] = {}
    limits: Limits = Limits()
    resource: dict[str, str] = {}
    fencing_token: int = 0
    session: int = 0
    molecule_id: str = "default"
    atom_id: str = ""
    allows: list[str] = []
    keys: Keys = Keys()
    journal_secret: str = ""
    journal_key: str = ""
    journal_owner: str = ""

    def __repr__(self) -> str:
        return f"RunExecution(execution_id={self.execution_id!r}, process={self.process!r})"


class CancelExecution(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop at the next batch; what is settled stays settled. After 10 s the agent kills the worker."""

    execution_id: str


class CheckConnection(msgspec.Struct, frozen=True, tag="check"):
    """Reach a system step by step, reading only."""

    request_id: str
    binding: Binding


class Rehearse(msgspec.Struct, frozen=True, tag="rehearse"):
    """Lead a dead letter with these fields replaced (a JSON object) through its process; nothing is written.

    execution: as if it were retried; no journal knows its execution.
    """

    request_id: str
    execution: RunExecution
    stream: str
    dead_letter_id: str
    fields: bytes
    reveal: bool = False

    def __repr__(self) -> str:
        return f"Rehearse(request_id={self.request_id!r}, dead_letter_id={self.dead_letter_id!r})"


class DryRun(msgspec.Struct, frozen=True, tag="dry_run"):
    """Run this execution without writing anything; no journal knows it. documents_max: of the source."""

    request_id: str
    execution: RunExecution
    shown_max: int
    documents_max: int


class StepLook(msgspec.Struct, frozen=True):
    """One step whose system is asked for its fields. operation: without the connector; options: a JSON object."""

    step: str
    operation: str
    options: bytes
    binding: Binding


class LookSteps(msgspec.Struct, frozen=True, tag="look_steps"):
    """Which fields do these steps' systems have?"""

    request_id: str
    steps: list[StepLook]


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Finish what runs, then exit."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    pid: int


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """After each settled batch, at most ten a second. counts: field -> number, as journal.Counts."""

    execution_id: str
    counts: dict[str, int]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The execution is over and the journal says so. failure: code, message, where, next.

    state FENCED: it is not over, and nothing was written down. It is no crash either: whoever has it by now goes on.
    """

    execution_id: str
    state: str
    counts: dict[str, int]
    failure: dict[str, str] | None = None


class Checks(msgspec.Struct, frozen=True, tag="checks"):
    request_id: str
    checks: list[tuple[str, bool, str]]


class Rehearsed(msgspec.Struct, frozen=True, tag="rehearsed"):
    """outcome: JSON of `engine.rehearsal.Outcome`; empty when `failure` (code, message, where, next) says why not."""

    request_id: str
    outcome: bytes
    failure: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Rehearsed(request_id={self.request_id!r})"


class DryRan(msgspec.Struct, frozen=True, tag="dry_ran"):
    """outcome: JSON of `engine.dry.dry_run.DryRun`; empty when `failure` (code, message, where, next) says why not."""

    request_id: str
    outcome: bytes
    failure: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"DryRan(request_id={self.request_id!r})"


class StepFields(msgspec.Struct, frozen=True):
    """fields: (name, type) in the system's order; None where it has none of its own, or code and reason say why not."""

    step: str
    fields: list[tuple[str, str]] | None = None
    code: str = ""
    reason: str = ""


class StepsLooked(msgspec.Struct, frozen=True, tag="steps_looked"):
    request_id: str
    steps: list[StepFields]


ToWorker = RunExecution | CancelExecution | CheckConnection | Rehearse | DryRun | LookSteps | Shutdown
FromWorker = Ready | Progress | Finished | Checks | Rehearsed | DryRan | StepsLooked

_encoder = msgspec.msgpack.Encoder()


def frame(message: ToWorker | FromWorker) -> bytes:
    """The message as it goes over the socket: 4 bytes length, big endian, then msgpack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body
