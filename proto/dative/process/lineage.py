"""Field lineage: which source fields made this target value, and which class it still carries.

The answer is a by-product of the validator's one pass over the documents (`flow`), so the two can not disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dative.process.catalog import Catalog, default_catalog
from dative.process.datatypes import DataType, parse_type
from dative.process.findings import Report
from dative.process.flow import FlowCheck, Lineage, Processes
from dative.process.model import FieldClass, Process
from dative.process.shapes import OperationSettings


def follow(
    process: Process,
    *,
    catalog: Catalog | None = None,
    profiles: Mapping[str, Mapping[str, str]] | None = None,
    processes: Processes | None = None,
) -> Lineage:
    """Sources, classes and types of every field after every step; for targets, of every field that is written."""
    types: dict[str, dict[str, DataType]] = {
        step: {name: parse_type(text) for name, text in fields.items()}
        for step, fields in (profiles or {}).items()
        if step == process.spec.source.id
    }
    check = FlowCheck(process, Report(process.name), catalog or default_catalog(), types, frozenset(), processes)
    check.run()
    return check.lineage


def lineage(process: Process) -> dict[str, dict[str, frozenset[str]]]:
    """Step id -> field after the step -> the source fields it was made of (empty for constants)."""
    return follow(process).sources


@dataclass(frozen=True)
class Explained:
    """Where one field of one step comes from.

    functions: all that computed it. masks: "step: mask" of all on its way. classes: those its value ever had; unmasked:
    those it still has here.
    """

    step: str
    field: str
    type: str
    sources: tuple[str, ...]
    functions: tuple[str, ...]
    masks: tuple[str, ...]
    classes: tuple[FieldClass, ...]
    unmasked: tuple[FieldClass, ...]


def explain(process: Process, *, step: str = "", field: str = "", catalog: Catalog | None = None) -> list[Explained]:
    """Every field of that step, or of every target where none is named; only the one of that name where one is.

    Raises KeyError for a step that does not exist.
    """
    followed = follow(process, catalog=catalog)
    targets = [one.id for one, _ in process.steps() if isinstance(one.settings, OperationSettings)]
    steps = [process.step(step).id] if step else [one for one in targets if one != process.spec.source.id]
    return [
        Explained(
            step=one,
            field=name,
            type=str(state.type),
            sources=tuple(sorted(state.sources)),
            functions=tuple(sorted(state.functions)),
            masks=tuple(sorted(state.masks)),
            classes=tuple(sorted(state.carried)),
            unmasked=tuple(sorted(state.classes)),
        )
        for one in steps
        for name, state in followed.states.get(one, {}).items()
        if not field or name == field
    ]
