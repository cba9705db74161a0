"""Answers which fields the systems of some steps have; a step that can not be looked at says why, and no other with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from dative.clock import Clock
from dative.errors import DativeError
from dative.errors.connector import UNEXPECTED
from dative.errors.profiles import TOO_LARGE
from dative.ids import ConnectionName, StepId
from dative.process.profiles import FIELDS_MAX

from dative_atom.connectors.base import ConnectionConfig, Operation
from dative_atom.connectors.connection import GuardedConnector
from dative_atom.engine.run import Connect
from dative_atom.worker.protocol import StepFields, StepLook

NAME_CHARACTERS_MAX: Final = 256
"""As of a key in a file of ours."""


def looked(steps: Iterable[StepLook], connect: Connect, clock: Clock) -> list[StepFields]:
    """One answer a step, in order, whatever happens."""
    return [_look(step, connect, clock) for step in steps]


def _look(step: StepLook, connect: Connect, clock: Clock) -> StepFields:
    binding = step.binding
    config = ConnectionConfig(ConnectionName(binding.name), binding.connector, binding.settings, binding.secrets)
    try:
        operation = Operation(StepId(step.step), binding.connector, step.operation, msgspec.json.decode(step.options))
        connector = connect(config)
        try:
            fields = connector.profile(operation, clock) if isinstance(connector, GuardedConnector) else None
        finally:
            connector.close()
    except DativeError as error:
        return StepFields(step.step, None, error.code.name, error.message)
    except Exception as error:  # noqa: BLE001 - a connector's defect is one step's answer, not a dead worker
        return StepFields(step.step, None, UNEXPECTED.name, type(error).__name__)
    if fields is not None and len(fields) > FIELDS_MAX:
        return StepFields(step.step, None, TOO_LARGE.name, f"{len(fields)} fields, at most {FIELDS_MAX}")
    if any(len(name) > NAME_CHARACTERS_MAX for name in fields or ()):
        return StepFields(step.step, None, TOO_LARGE.name, f"a name has more than {NAME_CHARACTERS_MAX} characters")
    return StepFields(step.step, None if fields is None else list(fields.items()))
