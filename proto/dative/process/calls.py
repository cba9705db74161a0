"""Which processes a process calls, and that the calls end: nothing calls itself, however far round.

Used where a file is checked, where a bundle is packed, at the atom that reads it and where the engine compiles it. Works
on the canonical JSON as well, so that packing and the agent need not build the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dative.process.model import Process
    from dative.process.shapes import Step

CALL_DEPTH_MAX: Final = 8
"""Processes inside one another, the first one included. At the bound the call is refused, with the way to it."""
CALLED_STEPS_MAX: Final = 2_000
"""Steps of an execution with all that it calls, each as often as it is called."""
NODES_MAX: Final = 200_000
_CALLS: Final = ("process_call", "process_route")
_CALL_KEYS: Final = ("shape", "process", "processes", "default")


def names_called(definition: bytes) -> tuple[str, ...]:
    """The processes that a canonical process calls, each once, in order of name; nothing for what is no process."""
    try:
        return names_in(json.loads(definition))
    except ValueError:
        return ()


def names_in(data: Any) -> tuple[str, ...]:
    """The same of a definition that has been read."""
    return tuple(sorted({name for settings in _calls(data) for name in called(settings)}))


def called_by(process: Process) -> tuple[str, ...]:
    """The processes that a process' own steps call, each once."""
    steps = (step.settings.model_dump(include=set(_CALL_KEYS)) for step, _ in process.steps())
    return tuple(dict.fromkeys(name for settings in steps for name in called(settings)))


def called(settings: Mapping[str, Any]) -> Iterator[str]:
    """The names in the settings of one call, as JSON."""
    if settings.get("shape") == "process_call" and isinstance(settings.get("process"), str):
        yield settings["process"]
    if settings.get("shape") == "process_route":
        processes = settings.get("processes")
        yield from (
            name for name in (processes.values() if isinstance(processes, dict) else ()) if isinstance(name, str)
        )
        if isinstance(settings.get("default"), str):
            yield settings["default"]


def _calls(data: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping of the document that is a call, without recursion: the JSON may be anybody's."""
    waiting, seen = [data], 0
    while waiting and seen < NODES_MAX:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, dict):
            if node.get("shape") in _CALLS:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def steps_of(
    process: Process, processes: Callable[[str], Process | None], prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, Step]]:
    """Every step of the process under the name that reports give it, with those of the processes it calls."""
    for step, path in process.steps():
        if prefix and path == ("spec", "source"):
            continue
        yield f"{prefix}{step.id}", step
        for name in called(step.settings.model_dump(include=set(_CALL_KEYS))):
            inner = processes(name) if depth < CALL_DEPTH_MAX else None
            way = f":{name}" if step.verb == "process_route" else ""
            if inner is not None:
                yield from steps_of(inner, processes, f"{prefix}{step.id}{way}.", depth + 1)


def closure(start: str, calls: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Everything that `start` calls, directly and through others, without itself; each once, nearest first."""
    found: dict[str, None] = {}
    waiting = [start]
    while waiting:
        for name in calls(waiting.pop(0)):
            if name not in found and name != start:
                found[name] = None
                waiting.append(name)
    return tuple(found)


def cycle(start: str, calls: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
    """A way from `start` that comes back to where it was, its end repeated: ("a", "b", "a"). None when all calls end."""
    done: set[str] = set()
    trail: list[str] = [start]
    ways: list[Iterator[str]] = [iter(calls(start))]
    while ways:
        name = next(ways[-1], None)
        if name is None:
            ways.pop()
            done.add(trail.pop())
        elif name in trail:
            return (*trail[trail.index(name) :], name)
        elif name not in done:
            trail.append(name)
            ways.append(iter(calls(name)))
    return None
