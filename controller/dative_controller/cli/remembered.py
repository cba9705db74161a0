"""What this machine has verified once, by digest: it stays proven when the key that signed it is replaced.

The same reason by which an atom goes on running what it accepted before a rotation. One small file a context.
"""

from __future__ import annotations

import json

from dative.bundle.blobs import write_whole

from dative_controller.cli.app import App

PLACES_MAX = 10_000
"""One digest a place; at the bound the oldest places are forgotten."""


def remember(app: App, place: str, digest: str) -> None:
    """`digest` was verified as what stands at `place` ("manifest/<environment>/<molecule>")."""
    known = _read(app)
    if known.get(place) == digest:
        return
    known.pop(place, None)
    kept = dict([*known.items(), (place, digest)][-PLACES_MAX:])
    file = app.home / "trust" / f"{app.context.name}.verified.json"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(file, json.dumps(kept).encode())


def is_remembered(app: App, place: str, digest: str) -> bool:
    return _read(app).get(place) == digest


def _read(app: App) -> dict[str, str]:
    file = app.home / "trust" / f"{app.context.name}.verified.json"
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        # Forgetting costs one refusal with a reason; believing a broken file could cost more.
        return {}
    return found if isinstance(found, dict) else {}
