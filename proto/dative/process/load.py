"""From the text of a process file to a process, and from a process to the bytes of a bundle.

`load` finds what is wrong with the structure, `check` also what is wrong with the meaning. Neither raises for bad
input: a file is data, and all its findings come out at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dative.process.build import build
from dative.process.findings import Finding, Path, Report, SourceMap, in_file_order
from dative.process.model import Process
from dative.process.text import read_yaml

if TYPE_CHECKING:
    from dative.process.catalog import Catalog
    from dative.process.flow import Processes
    from dative.process.profiles import Recorded

PROCESS_MEDIA_TYPE = "application/vnd.dative.process.v1+json"


@dataclass(frozen=True)
class Loaded:
    """What became of one file.

    process: None when there is an error among the findings. draft: what could be built all the same, for editors and
    for the checks that follow. partial: places where something was left out of the draft.
    """

    process: Process | None
    findings: list[Finding]
    source_map: SourceMap
    draft: Process | None = None
    partial: frozenset[Path] = field(default_factory=frozenset)


def load(source: str | bytes, *, filename: str) -> Loaded:
    """Read a process file. Findings are those of the text and of its structure, in file order."""
    report = Report(filename)
    data = read_yaml(source, report)
    # A text that broke off has said why; that its remains are no process would only distract.
    if data is None and report.failed:
        return Loaded(None, report.findings, report.source_map)
    built = build(data, report)
    process = None if report.failed else built.process
    return Loaded(process, in_file_order(report.findings), report.source_map, built.process, frozenset(built.partial))


def check(
    source: str | bytes,
    *,
    filename: str,
    catalog: Catalog | None = None,
    profiles: Mapping[str, Mapping[str, str]] | None = None,
    processes: Processes | None = None,
    recorded: Callable[[Process], Recorded] | None = None,
) -> Loaded:
    """`load`, then `validate` on what could be built: every finding of the file.

    profiles: step id of the source -> field -> type as text, where they are known; see `datatypes.parse_type`.
    processes: finds the processes that this one calls; without it nothing is said of them. recorded: finds the profiles
    of the process as it was built, in place of `profiles`; what is wrong with these is among the findings.
    """
    from dative.process.validate import validate_draft  # late: the agent reads processes and checks none

    loaded = load(source, filename=filename)
    if loaded.draft is None:
        return loaded
    held = recorded(loaded.draft) if recorded is not None else None
    meaning = validate_draft(
        loaded.draft,
        filename=filename,
        source_map=loaded.source_map,
        catalog=catalog,
        profiles=held.profiles if held is not None else profiles,
        partial=loaded.partial,
        processes=processes,
    )
    findings = in_file_order([*loaded.findings, *(found for found in meaning if found not in loaded.findings)])
    findings += held.findings if held is not None else ()
    failed = any(finding.severity == "error" for finding in findings)
    return Loaded(None if failed else loaded.process, findings, loaded.source_map, loaded.draft, loaded.partial)


def canonical_process(process: Process) -> bytes:
    """The one byte form of a process: keys sorted, no spaces, no floats, UTF-8; same process, same bytes.

    `Process.model_validate_json` reads it back. Decimals and durations are texts. Length: as the YAML's, about.
    """
    data = process.model_dump(mode="json", by_alias=True, exclude_defaults=False)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
