"""Live profiles: which fields the systems of a process' steps have now, asked through an atom of the environment.

An atom answers names and types. Where none can be asked, a plan goes by what was recorded beside the process, and says so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from dative.errors import DativeError
from dative.errors.agent import CONNECTION_MISSING
from dative.errors.bundle import BLOB_MISSING
from dative.process.profiles import (
    Answer,
    Compared,
    Question,
    Recorded,
    answered,
    compare,
    questions,
    read_recorded,
    record,
)

from dative_controller.cli.app import App

if TYPE_CHECKING:
    from dative.process.model import Process
    from dative.v1.control_pb2 import ControlProfileStepsResponse

_NOT_YET: Final = (CONNECTION_MISSING.name, BLOB_MISSING.name)
"""Why an atom has no connection that comes with the deployment that is planned."""
WITHIN_S: Final = 25.0
"""Longer than an atom looks for, and a plan's patience: then it goes by what was recorded."""


def ask(app: App, process: Process, environment: str, molecule: str, atom: str = "") -> tuple[str, list[Answer]]:
    """(the atom that answered, one answer a step). A process without operations is asked of nobody.

    Errors: fleet.atom_offline and what else keeps an atom from answering; profile.too_slow; rpc.*.
    """
    from dative.v1.agent_pb2 import StepQuestion
    from dative.v1.control_pb2 import ControlProfileStepsRequest, ControlProfileStepsResponse

    asked = questions(process)
    if not asked:
        return "", []
    request = ControlProfileStepsRequest(
        request_id=app.request_id(),
        environment=environment,
        process=process.name,
        molecule=molecule,
        atom=atom,
        steps=[
            StepQuestion(
                step=one.step,
                connection=one.connection,
                operation=one.operation,
                options=json.dumps(dict(one.options), ensure_ascii=False),
            )
            for one in asked
        ],
    )
    said = app.client.write("ExecutionService/ProfileSteps", request, ControlProfileStepsResponse, timeout_s=WITHIN_S)
    return said.atom, _answers(asked, said)


def _answers(asked: list[Question], said: ControlProfileStepsResponse) -> list[Answer]:
    """Of the steps that were asked about; an atom may be newer than this program, so its types are looked at."""
    by_step = {one.step: one for one in asked}
    return [
        Answer(one.step, code=one.code, reason=one.reason)
        if one.code
        else answered(by_step[one.step], {each.name: each.type for each in one.fields})
        for one in said.steps
        if one.step in by_step
    ]


def look(app: App, process: Process, folder: Path, environment: str, molecule: str, atom: str) -> list[Compared]:
    """Every step's live profile beside its recorded one; what is wrong with these is told. Errors: as `ask`."""
    recorded = read_recorded(folder, process)
    _, answers = ask(app, process, environment, molecule, atom)
    for finding in recorded.findings:
        app.say(f"  {finding}")
    return compare(questions(process), recorded, answers)


def show(app: App, process: Process, folder: Path, found: list[Compared], *, write: bool) -> int:
    """Step by step; with `write`, recorded too. Returns the exit code: 3 for drift that stays, 1 for a step that failed."""
    if app.out.is_table:
        for line in (line for one in found for line in one.lines()):
            click.echo(line)
    else:
        app.out.items("StepProfile", [dataclasses.asdict(one) for one in found], [], name="step")
    if write:
        for path in record(folder, process, found, f"{app.clock.now():%Y-%m-%d}"):
            app.say(f"  wrote {path}")
    elif any(one.state in ("new", "drifted") for one in found):
        app.say(f"  next   dative process profile {process.name} --env ENV --write")
    if any(one.state == "failed" for one in found):
        return 1
    return 3 if not write and any(one.state == "drifted" for one in found) else 0


@dataclass
class Live:
    """What a plan knows of the systems. It asks once a process, and what can not be had it takes from the records.

    is_first: nothing runs there yet, so that no atom has the connections; then none is asked.
    sources: "<process>/<step>" -> "live" or "recorded <day>"; steps of which nothing is known are not in it.
    """

    app: App
    environment: str
    molecule: str
    wanted: bool = True
    is_first: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def of(self, process: Process, folder: Path) -> Recorded:
        """Live where an atom says so, recorded where not."""
        recorded = read_recorded(folder, process)
        live = self._live(process)
        for step, day in recorded.days.items():
            self.sources[f"{process.name}/{step}"] = f"recorded {day}"
        self.sources.update({f"{process.name}/{step}": "live" for step in live})
        for step in sorted(set(recorded.profiles) - set(live)) if self.wanted else ():
            self._note(f"{process.name}/{step}: stale profile of {recorded.days[step]}, as it was recorded")
        return Recorded({**recorded.profiles, **live}, recorded.findings, recorded.days)

    def _live(self, process: Process) -> Mapping[str, Mapping[str, str]]:
        if not self.wanted or not questions(process):
            return {}
        if self.is_first:
            self._note(f"no live profiles of {process.name}: this is the first deployment, {self._later(process)}")
            return {}
        try:
            _, answers = ask(self.app, process, self.environment, self.molecule)
        except DativeError as error:
            # A plan works without an atom; that it could not look is said, not fatal.
            self._note(f"no live profiles of {process.name}: {error.message} ({error.code.name})")
            return {}
        for one in answers:
            if one.code:
                later = f"; {self._later(process)}" if one.code in _NOT_YET else ""
                self._note(f"{process.name}/{one.step}: no live profile: {one.reason} ({one.code}){later}")
        return {one.step: one.fields for one in answers if one.fields is not None}

    @property
    def was_asked(self) -> bool:
        """Whether something is known that does not stand beside the process."""
        return "live" in self.sources.values()

    def _later(self, process: Process) -> str:
        return (
            f"and no atom has its connections before it: dative process profile {process.name} --env "
            f"{self.environment} after the first deployment, or dative-atom profile FILE where the systems are reached"
        )

    def _note(self, text: str) -> None:
        self.notes[text] = None
