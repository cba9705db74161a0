"""Whether a process can be spread: its source divides, and nothing in it needs documents of different parts together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dative.errors import process as codes
from dative.process.calls import called_by, closure
from dative.process.findings import Path

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck
    from dative.process.flow_control import FlowControl
    from dative.process.model import Process

SPREAD: Final[Path] = ("spec", "flow_control", "spread")


def check_spread(check: FlowCheck) -> None:
    """Findings about `spread`; nothing is said of a process without it."""
    control = check.spec.flow_control
    if control is None or control.spread is None:
        return
    for message in _units(control):
        check.report.key(codes.NOT_SPREAD, message, SPREAD)
    source = check.spec.source
    operation = check.operation(source.settings)
    if operation is not None and not operation.divisible:
        check.report.key(codes.NOT_DIVISIBLE, f"{source.verb} can not be divided into parts", SPREAD)
    elif operation is None and source.verb in ("documents", "nothing"):
        check.report.key(codes.NOT_DIVISIBLE, f"a process that starts with `{source.verb}` reads no source", SPREAD)
    for step, path in check.process.steps():
        if why := step.settings.whole():
            check.report.key(codes.NOT_SPREAD, f"{step.verb} {why}", (*path, step.verb))
    for message in _called(check):
        check.report.key(codes.NOT_SPREAD, message, SPREAD)
    check.report.warn(codes.SPREAD_UNDIVIDED, codes.SPREAD_UNDIVIDED.means, SPREAD)


def _units(control: FlowControl) -> Iterator[str]:
    if control.unit == "all":
        yield "`unit: all` wants all documents of an execution together"
    if control.unit == "one_by_one":
        yield "`unit: one_by_one` keeps documents in their order, which those of different parts do not have"
    if control.by:
        yield "`by` keeps documents of equal values in one unit, and they may come to lie in different parts"
    if control.partitions is not None:
        yield "`partitions` keeps documents of equal values in their order, and they may come to lie in different parts"


def _called(check: FlowCheck) -> Iterator[str]:
    """What processes that are called need, directly or through others; what is not found is told by `called`."""
    find = check.processes
    if find is None:
        return

    def calls(process: Process | None) -> tuple[str, ...]:
        return called_by(process) if process is not None else ()

    own = called_by(check.process)
    names = dict.fromkeys((*own, *(inner for name in own for inner in closure(name, lambda one: calls(find(one))))))
    for name in names:
        process = find(name)
        for step, _ in process.steps() if process is not None else ():
            if why := step.settings.whole():
                yield f"in process {name}: {step.verb} {why}"
