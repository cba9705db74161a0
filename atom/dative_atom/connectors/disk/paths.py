"""Which files are meant, and that none of them lies outside of the connection's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePath

from dative.errors.base import StopRun
from dative.errors.disk import PATH_OUTSIDE, ROOT_MISSING

HIDDEN = ".dative"
"""Folder below the root for files that are not whole yet and for marks; never read."""


@dataclass(frozen=True, order=True)
class Found:
    """A file that has come to rest. changed_ns: the kernel's change time, which no copy can carry over from elsewhere."""

    changed_ns: int
    name: str
    size: int


def checked_root(root: str) -> Path:
    path = Path(root)
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        raise StopRun(f"{root} is no folder that the atom's user can read", code=ROOT_MISSING)
    return path.resolve()


def inside(root: Path, relative: str) -> Path:
    """The path below root; StopRun disk.path_outside when it leads out, through a link too."""
    pure = PurePath(relative)
    path = (root / pure).resolve()
    if pure.is_absolute() or ".." in pure.parts or not path.is_relative_to(root):
        raise StopRun(f"{relative} leads out of the connection's folder", code=PATH_OUTSIDE)
    return path


def files_at_rest(root: Path, pattern: str, now: datetime, stable_for_s: float) -> list[Found]:
    """Files of the pattern in the order of their last change, up to the first that was touched too lately.

    Nothing after that one is read either: a position is a place in this order, and must not pass a file by.
    """
    if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
        raise StopRun(f"{pattern} leads out of the connection's folder", code=PATH_OUTSIDE)
    found = []
    for path in root.glob(pattern):
        name = path.relative_to(root).as_posix()
        if HIDDEN in PurePath(name).parts or not path.is_file():
            continue
        status = inside(root, name).stat()
        found.append(Found(status.st_ctime_ns, name, status.st_size))
    latest_ns = int((now - timedelta(seconds=stable_for_s)).timestamp() * 1_000_000_000)
    return [file for file in sorted(found) if file.changed_ns <= latest_ns]
