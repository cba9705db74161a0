"""What `--connection LOGICAL=FILE` binds: a connector, its settings, and its secrets by reference, as an environment would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dative.errors.base import DativeError, StopRun
from dative.errors.testing import BINDING_INVALID
from dative.process.findings import Report
from dative.process.model import Process
from dative.process.text import read_yaml
from dative.secrets.reference import SecretReference, resolve

from dative_atom.worker.protocol import Binding

_KEYS = {"connector", "settings", "secrets"}


def read_bindings(process: Process, pairs: Iterable[str]) -> dict[str, Binding]:
    """Logical name -> binding. pairs: "crm=crm.yaml". StopRun testing.binding_invalid, secrets.*."""
    found = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name not in process.spec.connections:
            known = ", ".join(process.spec.connections)
            raise StopRun(f"--connection {pair}: give one of {known} and a file, as NAME=FILE", code=BINDING_INVALID)
        found[name] = _binding(name, Path(path), process.spec.connections[name])
    return found


def _binding(name: str, path: Path, connector: str) -> Binding:
    report = Report(path.name)
    try:
        data = read_yaml(path.read_bytes(), report)
    except OSError as error:
        raise StopRun(f"{path} can not be read: {error.strerror}", code=BINDING_INVALID) from error
    if report.failed or not isinstance(data, dict) or not set(data) <= _KEYS:
        told = str(report.findings[0]) if report.findings else f"it may have {', '.join(sorted(_KEYS))}"
        raise StopRun(f"{path} binds nothing: {told}", code=BINDING_INVALID)
    if data.get("connector", connector) != connector:
        raise StopRun(f"{path} is a {data['connector']}, the process needs a {connector}", code=BINDING_INVALID)
    settings = _texts(path, data.get("settings") or {})
    return Binding(name, connector, settings, _secrets(path, _texts(path, data.get("secrets") or {})))


def _texts(path: Path, values: object) -> dict[str, str]:
    if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
        raise StopRun(f"{path}: settings and secrets are names and texts", code=BINDING_INVALID)
    return {str(key): _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _secrets(path: Path, references: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, text in references.items():
        try:
            found[name] = resolve(SecretReference.parse(text), {}).reveal()
        except DativeError as error:
            # The text stays out of the message: people paste a secret where its reference belongs.
            raise StopRun(f"{path}: secret {name}: {error.message}", code=BINDING_INVALID) from error
    return found
