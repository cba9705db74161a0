"""Field lineage: which source fields made this target value, and which class it still carries.

The answer is a by-product of the validator's one pass over the documents (`flow`), so the two can not disagree.
"""

from __future__ import annotations

from collections.abc import Mapping

from dative.process.catalog import Catalog, default_catalog
from dative.process.datatypes import DataType, parse_type
from dative.process.findings import Report
from dative.process.flow import FlowCheck, Lineage
from dative.process.model import Process


def follow(
    process: Process, *, catalog: Catalog | None = None, profiles: Mapping[str, Mapping[str, str]] | None = None
) -> Lineage:
    """Sources, classes and types of every field after every step; for targets, of every field that is written."""
    types: dict[str, dict[str, DataType]] = {
        step: {name: parse_type(text) for name, text in fields.items()} for step, fields in (profiles or {}).items()
    }
    check = FlowCheck(process, Report(process.name), catalog or default_catalog(), types, frozenset())
    check.run()
    return check.lineage


def lineage(process: Process) -> dict[str, dict[str, frozenset[str]]]:
    """Step id -> field after the step -> the source fields it was made of (empty for constants)."""
    return follow(process).sources
