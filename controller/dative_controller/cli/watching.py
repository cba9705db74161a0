"""Following something until it ends: a deployment atom by atom, an execution count by count.

On a terminal bars move; elsewhere a line is printed for each change, so that a log of a pipeline can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from dative.v1 import control_pb2, types_pb2

from dative_controller.cli.app import App

STEPS = {
    types_pb2.PHASE_VERIFIED: 1,
    types_pb2.PHASE_STAGED: 2,
    types_pb2.PHASE_ACTIVE: 3,
    types_pb2.PHASE_ROLLED_BACK: 3,
    types_pb2.PHASE_REFUSED: 3,
}
FAILED = (types_pb2.PHASE_REFUSED, types_pb2.PHASE_ROLLED_BACK)
_WORDS = {
    types_pb2.PHASE_UNSPECIFIED: "waiting",
    types_pb2.PHASE_VERIFIED: "verified",
    types_pb2.PHASE_STAGED: "staged",
    types_pb2.PHASE_ACTIVE: "active",
    types_pb2.PHASE_ROLLED_BACK: "rolled back",
    types_pb2.PHASE_REFUSED: "refused",
}

Show = Callable[[control_pb2.AtomProgress], None]


def deployment(app: App, deployment_id: str) -> int:
    """Follow it to its end. Returns the exit code: 0 all active, 8 some failed, 1 all failed.

    An interrupt detaches; the deployment goes on, and the way back is told.
    """
    request = control_pb2.WatchDeploymentRequest(deployment_id=deployment_id)
    last = control_pb2.WatchDeploymentResponse()
    try:
        with _display(app) as show:
            for state in app.client.stream(
                "DeploymentService/WatchDeployment", request, control_pb2.WatchDeploymentResponse
            ):
                last = state
                for atom in state.atoms:
                    show(atom)
                if state.done:
                    break
    except KeyboardInterrupt:
        app.say(f"\ndetached; the deployment goes on. Back to it: dative deployment show {deployment_id} --watch")
        raise
    return _verdict(app, last)


def line(atom: control_pb2.AtomProgress) -> str:
    """One atom's state: phase, and why it refused."""
    word = _WORDS.get(atom.phase, str(atom.phase))
    if not atom.online and atom.phase not in STEPS:
        word = "offline: gets it when it is back"
    mark = "✖" if atom.phase in FAILED else "✔" if atom.phase == types_pb2.PHASE_ACTIVE else "…"
    why = f": {atom.status.message} ({atom.status.code})" if atom.status.code else ""
    step = f"  {atom.step}" if atom.step in ("gating", "passed", "failed") else ""
    return f"{mark} {atom.name}  {word}{step}{why}"


def _verdict(app: App, state: control_pb2.WatchDeploymentResponse) -> int:
    if state.rollout.state in ("halted", "returned"):
        return _ended_badly(app, state)
    failed = [atom for atom in state.atoms if atom.phase in FAILED]
    for atom in failed:
        if atom.status.next:
            app.say(f"  next   {atom.status.next}   (atom {atom.name})")
    if not failed:
        active = sum(atom.phase == types_pb2.PHASE_ACTIVE for atom in state.atoms)
        app.done(f"{active} of {len(state.atoms)} atoms run generation {state.deployment.generation}")
        return 0
    click.echo(
        f"✖ {len(failed)} of {len(state.atoms)} atoms did not take it; what ran there before keeps running", err=True
    )
    return 1 if len(failed) == len(state.atoms) else 8


def _ended_badly(app: App, state: control_pb2.WatchDeploymentResponse) -> int:
    """A gate failed: what happened to the others, and the exact next step."""
    rollout, generation = state.rollout, state.deployment.generation
    click.echo(f"✖ generation {generation} stopped at {rollout.failed_atom}: {rollout.reason}", err=True)
    if rollout.state == "returned":
        app.say(f"  note   the content before is back on all members, as generation {rollout.returned_as}")
    else:
        others = ", ".join(atom.name for atom in state.atoms if atom.step == "waiting") or "nobody"
        app.say(f"  note   not given to: {others}")
        names = ", ".join(sorted({text.partition("@")[0] for text in state.deployment.processes}))
        app.say(
            f"  next   dative rollback --to {generation - 1} --env {state.deployment.environment_id}"
            f" --molecule {state.deployment.molecule_id}   ({names})"
        )
    return 8


@contextmanager
def _display(app: App) -> Iterator[Show]:
    if app.quiet or not app.interactive:
        seen: dict[str, str] = {}

        def tell(atom: control_pb2.AtomProgress) -> None:
            text = line(atom)
            if seen.get(atom.atom_id) != text:
                seen[atom.atom_id] = text
                app.say(f"  {text}")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def draw(atom: control_pb2.AtomProgress) -> None:
            if atom.atom_id not in tasks:
                tasks[atom.atom_id] = progress.add_task("", total=3)
            # Square brackets of a reason are no markup.
            text = line(atom).replace("[", r"\[")
            progress.update(tasks[atom.atom_id], completed=STEPS.get(atom.phase, 0), description=text)

        yield draw


def counts(execution: types_pb2.Execution) -> str:
    """ "read 25 = written 24 + filtered 0 + returned 0 + dead-lettered 1": invariant 2, shown as the sum it is."""
    found = execution.counts
    text = (
        f"read {found.read} = written {found.written} + filtered {found.filtered}"
        f" + returned {found.returned} + dead-lettered {found.dead_lettered}"
    )
    return text + (f", masked {found.masked}" if found.masked else "")


ENDED = (
    types_pb2.EXECUTION_STATE_SUCCEEDED,
    types_pb2.EXECUTION_STATE_PARTIAL,
    types_pb2.EXECUTION_STATE_FAILED,
    types_pb2.EXECUTION_STATE_CANCELLED,
)
EXIT_CODES = {
    types_pb2.EXECUTION_STATE_SUCCEEDED: 0,
    types_pb2.EXECUTION_STATE_PARTIAL: 8,
    types_pb2.EXECUTION_STATE_FAILED: 1,
    types_pb2.EXECUTION_STATE_CANCELLED: 130,
}


def execution(app: App, execution_id: str) -> control_pb2.GetExecutionResponse:
    """Follow a run to its end and return its last state. An interrupt detaches; the run goes on."""
    request = control_pb2.GetExecutionRequest(execution_id=execution_id)
    last = control_pb2.GetExecutionResponse()
    shown = ""
    try:
        for state in app.client.stream("ExecutionService/WatchExecution", request, control_pb2.GetExecutionResponse):
            last = state
            text = f"{state_word(state.execution.state)}  {counts(state.execution)}"
            if text != shown:
                shown = text
                app.say(f"  {text}")
            if state.execution.state in ENDED:
                _why(app, state.execution)
                break
    except KeyboardInterrupt:
        app.say(f"\ndetached; the run goes on. Back to it: dative execution watch {execution_id}")
        raise
    return last


def _why(app: App, ended: types_pb2.Execution) -> None:
    """What stopped it and what helps, so that nobody has to ask a second time."""
    if ended.failure.code:
        where = f" – {ended.failure.where}" if ended.failure.where else ""
        app.say(f"  why    {ended.failure.message}{where} ({ended.failure.code})")
        app.say(f"  next   {ended.failure.next}")


def state_word(state: int) -> str:
    return types_pb2.ExecutionState.Name(state).removeprefix("EXECUTION_STATE_").lower()
