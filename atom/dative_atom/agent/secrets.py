"""From a connection's references to a binding with its values, registered with the redactor before anybody uses them.

Values exist from here to the worker's socket and nowhere else: no argument, no environment variable, no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from dative.errors import DativeError
from dative.errors.agent import CONNECTION_MISSING, CONNECTOR_MISMATCH
from dative.errors.secrets import SecretsRefused
from dative.secrets import MaskKeys, Secret
from dative.secrets.mask_keys import MASK_KEY
from dative.secrets.redact import Redactor
from dative.secrets.reference import SecretReference, resolve

from dative_atom.agent.content import BoundConnection, EnvironmentConfig, ProcessContent
from dative_atom.worker.protocol import Binding


def bind(
    process: ProcessContent,
    environment: EnvironmentConfig,
    sealed: Mapping[str, Secret],
    redactor: Redactor,
    environ: Mapping[str, str] = os.environ,
) -> list[Binding]:
    """What the process' logical connections stand for here.

    Errors: agent.connection_missing, agent.connector_mismatch; secrets.not_found, secrets.bad_reference.
    """
    bindings = []
    for name, connector in process.connections.items():
        found = connection(environment, name)
        if found.connector != connector:
            raise DativeError(
                f"{process.name} was written for {connector}, {environment.environment or 'the environment'} binds "
                f"{name} to {found.connector}",
                code=CONNECTOR_MISMATCH,
                where=f"connection {name}",
            )
        bindings.append(binding(name, found, sealed, redactor, environ))
    return bindings


def connection(environment: EnvironmentConfig, name: str) -> BoundConnection:
    """Errors: agent.connection_missing."""
    found = environment.connections.get(name)
    if found is None:
        raise DativeError(
            f"{environment.environment or 'the environment'} binds no connection {name}; "
            f"it has {', '.join(sorted(environment.connections)) or 'none'}",
            code=CONNECTION_MISSING,
            where=f"connection {name}",
        )
    return found


def binding(
    name: str,
    found: BoundConnection,
    sealed: Mapping[str, Secret],
    redactor: Redactor,
    environ: Mapping[str, str] = os.environ,
) -> Binding:
    """One connection with its secrets. Errors: secrets.not_found, secrets.bad_reference, secrets.too_large."""
    values = {}
    for setting, text in found.secrets.items():
        try:
            secret = resolve(SecretReference.parse(text), sealed, environ=environ)
        except SecretsRefused as missing:
            missing.where = f"connection {name}, {setting}"
            raise
        redactor.register(secret)
        values[setting] = secret.reveal()
    return Binding(name=name, connector=found.connector, settings=dict(found.settings), secrets=values)


def mask_keys(sealed: Mapping[str, Secret], redactor: Redactor) -> MaskKeys:
    """The environment's mask keys, none where it has none. Errors: masks.key_malformed."""
    for name, secret in sealed.items():
        if name.startswith(MASK_KEY):
            redactor.register(secret)
    return MaskKeys.of(sealed)
