"""Contexts: which controller, trusted by which authority, and where each value came from.

File, then environment (DATIVE_CONTEXT, DATIVE_SERVER, DATIVE_CA_FILE, DATIVE_ENV), then flag; the later wins. Holds no
key and no token: those are the key store's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dative.errors.cli import NO_CONTEXT, SETTINGS_BROKEN, UNKNOWN_CONTEXT, CliError

FILE_BYTES_MAX = 1 << 20
_NAME = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")


@dataclass(frozen=True)
class Context:
    """One controller as this machine knows it. ca: PEM of its authority. environment: the default of --env."""

    name: str
    server: str = ""
    ca: str = ""
    subject: str = ""
    organization_id: str = ""
    environment: str = ""


@dataclass(frozen=True)
class Contexts:
    """The file `contexts.yaml`, whole."""

    current: str = ""
    contexts: Mapping[str, Context] = field(default_factory=dict)

    def named(self, name: str) -> Context:
        """By name or unique prefix. Errors: cli.unknown_context."""
        if name in self.contexts:
            return self.contexts[name]
        fitting = [known for known in self.contexts if known.startswith(name)] if name else []
        if len(fitting) == 1:
            return self.contexts[fitting[0]]
        there = ", ".join(sorted(fitting or self.contexts)) or "none"
        raise CliError(f"no context {name}; there are: {there}", code=UNKNOWN_CONTEXT)

    def with_context(self, context: Context, *, use: bool = False) -> Contexts:
        current = context.name if use or not self.current else self.current
        return Contexts(current, {**self.contexts, context.name: context})

    def without(self, name: str) -> Contexts:
        left = {known: context for known, context in self.contexts.items() if known != name}
        return Contexts("" if self.current == name else self.current, left)


@dataclass(frozen=True)
class Resolved:
    """The context in force. origins: field -> "contexts.yaml", "DATIVE_SERVER" or "--context"."""

    context: Context
    origins: Mapping[str, str]


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this command keeps its state: $DATIVE_HOME, else the platform's configuration directory."""
    if environ.get("DATIVE_HOME"):
        return Path(environ["DATIVE_HOME"])
    import platformdirs

    return platformdirs.user_config_path("dative")


def read(directory: Path) -> Contexts:
    """What is stored; an absent file is an empty one. Errors: cli.settings_broken."""
    file = directory / "contexts.yaml"
    if not file.exists():
        return Contexts()
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise CliError(f"{file} is larger than {FILE_BYTES_MAX} bytes", code=SETTINGS_BROKEN)
        body = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
        contexts = {name: Context(name=name, **values) for name, values in (body.get("contexts") or {}).items()}
        return Contexts(body.get("current") or "", contexts)
    except (OSError, UnicodeError, YAMLError, TypeError, AttributeError) as broken:
        raise CliError(
            f"{file} is not a list of contexts: {type(broken).__name__}", code=SETTINGS_BROKEN, where=str(file)
        ) from broken


def write(directory: Path, contexts: Contexts) -> None:
    """Store them, whole or not at all (Invariant 5)."""
    import io

    from dative.bundle.blobs import write_whole
    from ruamel.yaml import YAML

    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = io.StringIO()
    writer = YAML()
    writer.dump(
        {"current": contexts.current, "contexts": {name: _body(one) for name, one in contexts.contexts.items()}}, text
    )
    write_whole(directory / "contexts.yaml", text.getvalue().encode())


def resolve(directory: Path, flag: str | None, environ: Mapping[str, str] = os.environ) -> Resolved:
    """The context in force. Errors: cli.no_context, cli.unknown_context, cli.settings_broken."""
    stored = read(directory)
    chosen = flag or environ.get("DATIVE_CONTEXT") or stored.current
    server = environ.get("DATIVE_SERVER", "")
    if chosen:
        context = stored.named(chosen)
    elif server:
        context = Context(name="environment")
    else:
        raise CliError("no controller is known on this machine", code=NO_CONTEXT)
    origin = "--context" if flag else "DATIVE_CONTEXT" if environ.get("DATIVE_CONTEXT") else "contexts.yaml"
    origins = {"name": origin, **dict.fromkeys(("server", "ca", "subject", "environment"), "contexts.yaml")}
    if server:
        context, origins["server"] = replace(context, server=server), "DATIVE_SERVER"
    if environ.get("DATIVE_CA_FILE"):
        context, origins["ca"] = replace(context, ca=Path(environ["DATIVE_CA_FILE"]).read_text()), "DATIVE_CA_FILE"
    if environ.get("DATIVE_ENV"):
        context, origins["environment"] = replace(context, environment=environ["DATIVE_ENV"]), "DATIVE_ENV"
    return Resolved(context, origins)


def is_name(text: str) -> bool:
    """Names become directories, so that nothing a file system reads as more than a name is one."""
    return _NAME.match(text) is not None


def _body(context: Context) -> dict[str, Any]:
    from ruamel.yaml.scalarstring import LiteralScalarString

    body = {name: value for name, value in asdict(context).items() if name != "name" and value}
    if "ca" in body:
        body["ca"] = LiteralScalarString(body["ca"])
    return body
