"""Assignments of `dative env set`, turned into connections and overrides; and the command that takes them back. Pure.

A connection travels whole, so that what is not named is taken from what is set now; the version checks that nobody
changed it meanwhile.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

import click
from dative.process.catalog import CatalogConnector, default_catalog
from dative.secrets import SecretReference
from dative.v1.control_pb2 import Connection, Environment

from dative_controller.server.environment_rules import check_not_secret

CONNECTOR = "connector"


@dataclass
class Change:
    """What SetEnvironment is asked for."""

    connections: list[Connection] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    overrides: dict[str, str] = field(default_factory=dict)
    removed_overrides: list[str] = field(default_factory=list)


def change(
    environment: Environment, assignments: Sequence[str], overrides: Sequence[str], unset: Sequence[str]
) -> Change:
    """Errors: click.UsageError; environment.looks_secret; secrets.bad_reference."""
    made = Change()
    changed: dict[str, Connection] = {}
    pairs = [_assignment(text) for text in assignments]
    # Connectors first, so that the order in which a connection's settings are typed does not matter.
    for name, setting, value in sorted(pairs, key=lambda pair: pair[1] != CONNECTOR):
        connection = changed.get(name) or _existing(environment, name) or _new(name, setting)
        _assign(connection, setting, value)
        changed[name] = connection
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise click.UsageError(f"{text.partition('=')[0]}: an override is PROCESS.PARAMETER=VALUE")
        check_not_secret(key, key.rpartition(".")[2], value)
        made.overrides[key] = value
    for text in unset:
        _unset(environment, text, changed, made)
    made.connections = [changed[name] for name in sorted(changed)]
    return made


def undo(before: Environment, after: Environment) -> str:
    """The command that brings back `before`, or nothing when both are the same."""
    old, new = _flat(before), _flat(after)
    words = [f"{key}={old[key]}" for key in sorted(old) if "." in key and new.get(key) != old[key]]
    gone = [key for key in sorted(new) if key not in old]
    # Taking a connection away takes its settings too.
    whole = {name for name in gone if "." not in name}
    gone = [key for key in gone if "." not in key or key.partition(".")[0] not in whole]
    former = [f"{key}={value}" for key, value in sorted(before.overrides.items()) if after.overrides.get(key) != value]
    added = [key for key in sorted(after.overrides) if key not in before.overrides]
    parts = [shlex.quote(word) for word in words]
    parts += [f"--disallow {shlex.quote(word)}" for word in after.allows if word not in before.allows]
    parts += [f"--allow {shlex.quote(word)}" for word in before.allows if word not in after.allows]
    parts += [f"--override {shlex.quote(word)}" for word in former] + [f"--unset {name}" for name in [*gone, *added]]
    return f"dative env set {before.name} {' '.join(parts)}" if parts else ""


def bound_to(environment: Environment, secret: str) -> Connection | None:
    """The connection with a reference to the secret "<connection>.<setting>"; None when it needs or takes none."""
    name, _, setting = secret.partition(".")
    connection = _existing(environment, name)
    if connection is None or setting in connection.secrets or setting not in _secrets_of(connection.connector):
        return None
    connection.secrets[setting] = f"sealed:{secret}"
    return connection


def _assignment(text: str) -> tuple[str, str, str]:
    key, equals, value = text.partition("=")
    name, dot, setting = key.partition(".")
    if not (equals and dot and name and setting):
        raise click.UsageError(f"{key}: a setting is CONNECTION.SETTING=VALUE")
    return name, setting, value


def _existing(environment: Environment, name: str) -> Connection | None:
    found = next((one for one in environment.connections if one.name == name), None)
    if found is None:
        return None
    copy = Connection()
    copy.CopyFrom(found)
    return copy


def _new(name: str, setting: str) -> Connection:
    if setting != CONNECTOR:
        raise click.UsageError(
            f"there is no connection {name} yet; say what it is: {name}.connector="
            f"{'|'.join(sorted(default_catalog().connectors))}   (a process' parameter is set with --override)"
        )
    return Connection(name=name)


def _assign(connection: Connection, setting: str, value: str) -> None:
    if setting == CONNECTOR:
        _connector(value)
        connection.connector = value
    elif setting in _secrets_of(connection.connector) or value.startswith("sealed:"):
        SecretReference.parse(value)
        connection.settings.pop(setting, None)
        connection.secrets[setting] = value
    else:
        check_not_secret(f"{connection.name}.{setting}", setting, value)
        _known_setting(connection, setting)
        connection.settings[setting] = value


def _connector(name: str) -> CatalogConnector:
    known = default_catalog().connectors
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(sorted(known))}"
    raise click.UsageError(f"no connector {name}; {hint}")


def _known_setting(connection: Connection, setting: str) -> None:
    """The atom refuses a setting that its connector does not know; better to hear it here."""
    entry = default_catalog().connectors.get(connection.connector)
    known = sorted([*entry.settings.get("properties", {}), *entry.secrets]) if entry else []
    if not known or setting in known:
        return
    near = difflib.get_close_matches(setting, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"
    raise click.UsageError(f"a {connection.connector} has no setting {setting}; {hint}")


def _secrets_of(connector: str) -> tuple[str, ...]:
    known = default_catalog().connectors.get(connector)
    return known.secrets if known else ()


def _unset(environment: Environment, text: str, changed: dict[str, Connection], made: Change) -> None:
    name, dot, setting = text.partition(".")
    connection = changed.get(name) or _existing(environment, name)
    if text in environment.overrides:
        made.removed_overrides.append(text)
    elif connection is not None and not dot:
        changed.pop(name, None)
        made.removed.append(name)
    elif connection is not None and (setting in connection.settings or setting in connection.secrets):
        connection.settings.pop(setting, None)
        connection.secrets.pop(setting, None)
        changed[name] = connection
    else:
        raise click.UsageError(
            f"--unset {text}: environment {environment.name} has no such connection, setting or override"
        )


def _flat(environment: Environment) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in environment.connections:
        found[one.name] = one.connector
        found[f"{one.name}.{CONNECTOR}"] = one.connector
        found.update({f"{one.name}.{key}": value for key, value in {**one.settings, **one.secrets}.items()})
    return found
