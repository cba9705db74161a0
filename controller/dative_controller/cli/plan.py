"""What a deployment would change, in the words of the process language. Pure: data in, lines out.

Compared by step and by field, not by line of text: a moved comment is no change, a changed expression is one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dative.bundle.pack import EnvironmentConfig
from dative.process.scalars import parse_mask
from dative.secrets.mask_keys import versions_in

Data = dict[str, Any]
Sign = Literal["+", "-", "~"]

TEXT_MAX = 60
_ARMS = {"then": "then", "else": "else", "otherwise": "else", "steps": "try", "catch": "catch"}


@dataclass(frozen=True)
class Line:
    """One difference. sign: "+" comes, "-" goes, "~" is another."""

    sign: Sign
    text: str


@dataclass(frozen=True)
class ProcessPlan:
    """One process. before, after: versions; None is not there."""

    name: str
    before: int | None
    after: int | None
    lines: tuple[Line, ...]

    @property
    def changed(self) -> bool:
        return self.before != self.after or bool(self.lines)


@dataclass(frozen=True)
class Plan:
    """needs: what the environment lacks, each with the command that sets it. notes: what a person should know.

    profiles: what the processes were checked against, "<process>/<step>" -> "live" or "recorded 2026-03-01".
    """

    environment: str
    check_index: int
    generation: int
    processes: tuple[ProcessPlan, ...]
    settings: tuple[Line, ...]
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    profiles: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.settings) or any(process.changed for process in self.processes)

    def as_data(self) -> Data:
        """For `-o json`."""
        return {
            "environment": self.environment,
            "check_index": self.check_index,
            "generation": self.generation,
            "changed": self.changed,
            "processes": [
                {
                    "name": one.name,
                    "before": one.before,
                    "after": one.after,
                    "changes": [{"sign": line.sign, "text": line.text} for line in one.lines],
                }
                for one in self.processes
            ],
            "settings": [{"sign": line.sign, "text": line.text} for line in self.settings],
            "needs": list(self.needs),
            "notes": list(self.notes),
            "profiles": dict(self.profiles),
        }


def diff_process(before: Data | None, after: Data | None) -> tuple[Line, ...]:
    """Between two process definitions (their canonical JSON, read). None: not there."""
    old_steps, new_steps = _steps(before), _steps(after)
    lines = list(_leaves(_outside_steps(before), _outside_steps(after)))
    lines += [Line("-", f"step {name} ({old_steps[name].verb})") for name in old_steps if name not in new_steps]
    for name, new in new_steps.items():
        old = old_steps.get(name)
        if old is None:
            lines.append(
                Line("+", f"step {name} ({new.verb}) in {new.arm}" if new.arm else f"step {name} ({new.verb})")
            )
        else:
            lines += _step_lines(name, old, new)
    lines += _moved(list(old_steps), list(new_steps))
    return tuple(lines) if before is not None and after is not None else ()


def diff_environment(before: EnvironmentConfig | None, after: EnvironmentConfig) -> tuple[Line, ...]:
    """Between the settings that run and those that would. Secrets show as references only, which is all they are."""
    return tuple(_leaves(_settings(before), _settings(after)))


def missing(
    process: Data,
    environment: EnvironmentConfig,
    secrets: Collection[str],
    required: Mapping[str, Collection[str]],
) -> tuple[str, ...]:
    """What the environment does not bind for this process, each with the command that sets it.

    secrets: names that are set. required: connector -> settings without which it does not open.
    """
    name, spec, env = process["metadata"]["name"], process["spec"], environment.environment
    found: list[str] = []
    for logical, connector in sorted((spec.get("connections") or {}).items()):
        bound = environment.connections.get(logical)
        if bound is None:
            found.append(f"connection {logical} ({connector}): dative env set {env} {logical}.connector={connector} …")
        elif bound.connector != connector:
            found.append(f"connection {logical} is a {bound.connector}, the process wants a {connector}")
        else:
            found += [
                f"setting {logical}.{setting}: dative env set {env} {logical}.{setting}=VALUE"
                for setting in sorted(required.get(connector, ()))
                if setting not in bound.settings and setting not in bound.secrets
            ]
            found += _missing_secrets(logical, bound.secrets, secrets, env)
    for parameter, declared in sorted((spec.get("parameters") or {}).items()):
        if (declared or {}).get("default") is None and f"{name}.{parameter}" not in environment.overrides:
            found.append(f"parameter {parameter}: dative env set {env} --override {name}.{parameter}=VALUE")
    allowed = environment.allows or ()
    found += [
        f"permission {word}: dative env set {env} --allow {word}"
        for word in sorted(set(_permissions(spec.get("steps") or ())))
        if word not in allowed
    ]
    hashed = any(text.startswith("hash(") for text in spec.get("track") or ())
    if (hashed or any(_keyed_masks(spec.get("steps") or ()))) and not versions_in(secrets):
        found.append(f"mask key (hash, token, date_shift): dative vault key create --env {env}")
    return tuple(found)


def _permissions(value: Any) -> Iterator[str]:
    """What the steps below need the environment to allow."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _permissions(item)
    elif isinstance(value, dict):
        if value.get("shape") == "script":
            yield "scripts"
        elif value.get("shape") == "program_command":
            yield f"command:{value['command'][0]}"
        for item in value.values():
            yield from _permissions(item)


def _keyed_masks(value: Any) -> Iterator[str]:
    """The keyed masks of every mask step below, wherever a shape holds its steps."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _keyed_masks(item)
    elif isinstance(value, dict):
        if value.get("shape") == "mask":
            yield from (text for text in value["fields"].values() if parse_mask(text).keyed)
        else:
            for item in value.values():
                yield from _keyed_masks(item)


def _missing_secrets(logical: str, references: Mapping[str, str], secrets: Collection[str], env: str) -> list[str]:
    wanted = [
        (setting, text.removeprefix("sealed:")) for setting, text in references.items() if text.startswith("sealed:")
    ]
    return [
        f"secret {name} (of {logical}.{setting}): dative env secret set {name} --env {env}"
        for setting, name in sorted(wanted)
        if name not in secrets
    ]


# ---- steps ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    verb: str
    arm: str
    leaves: Mapping[str, object]


def _steps(process: Data | None) -> dict[str, _Step]:
    if process is None:
        return {}
    spec = process["spec"]
    found = {step["id"]: _step(step, "") for step in [spec["source"]]}
    found.update(_walk(spec.get("steps") or (), ""))
    return found


def _walk(steps: Any, arm: str) -> Iterator[tuple[str, _Step]]:
    for step in steps:
        yield step["id"], _step(step, arm)
        for key, value in (step.get("settings") or {}).items():
            if _is_steps(value):
                yield from _walk(value, f"{step['id']}.{_ARMS.get(key, key)}")


def _step(step: Data, arm: str) -> _Step:
    settings = {key: value for key, value in step["settings"].items() if key != "shape" and not _is_steps(value)}
    # A map's fields are what people think in: "to-customer.phone", not "to-customer.settings.fields.phone".
    fields = settings.pop("fields", None)
    options = settings.pop("options", None)
    rest = {key: value for key, value in step.items() if key not in ("id", "verb", "settings")}
    named = fields if isinstance(fields, dict) else {} if fields is None else {"fields": fields}
    return _Step(step["verb"], arm, dict(_flat({**rest, **settings, **(options or {}), **named})))


def _is_steps(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict) and "verb" in value[0]


def _step_lines(name: str, old: _Step, new: _Step) -> Iterator[Line]:
    if old.verb != new.verb:
        yield Line("~", f"step {name}: {old.verb} → {new.verb}")
    if old.arm != new.arm:
        yield Line("~", f"step {name}: from {old.arm or 'the main line'} to {new.arm or 'the main line'}")
    yield from _leaves(old.leaves, new.leaves, f"{name}.")


def _moved(old: list[str], new: list[str]) -> list[Line]:
    before = [name for name in old if name in new]
    after = [name for name in new if name in old]
    return [] if before == after else [Line("~", f"order of steps: {', '.join(after)}")]


# ---- leaves -----------------------------------------------------------------------------------------------------


def _outside_steps(process: Data | None) -> dict[str, object]:
    if process is None:
        return {}
    spec = {key: value for key, value in process["spec"].items() if key not in ("source", "steps")}
    labels = (process["metadata"].get("labels")) or {}
    return dict(_flat({**spec, "labels": labels}))


def _settings(environment: EnvironmentConfig | None) -> dict[str, object]:
    if environment is None:
        return {}
    found: dict[str, object] = {f"override {key}": value for key, value in environment.overrides.items()}
    found.update({f"allows {word}": "yes" for word in environment.allows or ()})
    for name, connection in environment.connections.items():
        found[f"connection {name}"] = connection.connector
        found.update({f"connection {name}.{key}": value for key, value in connection.settings.items()})
        found.update({f"connection {name}.{key}": value for key, value in connection.secrets.items()})
    return found


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key in value:
            yield from _flat(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{index}]")
    elif value not in (None, [], ()):
        yield path, value


def _leaves(old: Mapping[str, object], new: Mapping[str, object], prefix: str = "") -> Iterator[Line]:
    for path in sorted({*old, *new}):
        if path not in old:
            yield Line("+", f"{prefix}{path}: {_shown(new[path])}")
        elif path not in new:
            yield Line("-", f"{prefix}{path}: {_shown(old[path])}")
        elif old[path] != new[path]:
            yield Line("~", f"{prefix}{path}: {_shown(old[path])} → {_shown(new[path])}")


def _shown(value: object) -> str:
    text = ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def override_differences(process: str, there: EnvironmentConfig, here: EnvironmentConfig) -> list[str]:
    """Overrides of this process that two environments set differently, one line each."""
    old = {key: value for key, value in there.overrides.items() if key.startswith(f"{process}.")}
    new = {key: value for key, value in here.overrides.items() if key.startswith(f"{process}.")}
    return [
        f"override {key}: {_shown(old.get(key, 'not set'))} in {there.environment},"
        f" {_shown(new.get(key, 'not set'))} in {here.environment}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
