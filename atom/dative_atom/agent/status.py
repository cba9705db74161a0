"""What `dative-atom status` shows, from the running agent or from its disk, and how an atom leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dative.clock import SystemClock
from dative.errors import DativeError
from dative.errors.agent import DATA_DIR_BUSY, NOT_RUNNING, RECORDS_LEFT, STILL_RUNNING

from dative_atom.agent.identity import read_certificate, read_identity, read_seal_key
from dative_atom.agent.local import ask
from dative_atom.agent.lock import AgentLock
from dative_atom.agent.molecule_reach import examine
from dative_atom.agent.paths import DataDir


def read(root: Path) -> dict[str, Any]:
    """The agent's own words, or what the disk says when none runs. Errors: agent.not_joined, agent.identity_damaged."""
    directory = DataDir(root)
    identity = read_identity(directory)
    # Asked from here and not by the agent: a look at a slow network must not stall its loop.
    reach = [{"name": one.name, "ok": one.passed, "detail": one.detail, "fix": one.fix} for one in examine(directory)]
    try:
        return {**ask(directory.socket, "status"), "reach": reach}
    except DativeError as gone:
        if gone.code is not NOT_RUNNING:
            raise
    return {
        "apiVersion": "dative-atom/v1",
        "running": False,
        "atom": identity.name,
        "atom_id": identity.atom_id,
        "environment": identity.environment,
        "molecule": identity.molecule_id,
        "controller": identity.endpoints[0],
        "certificate_expires_at": read_certificate(directory).not_after.isoformat(),
        "seal_key_fingerprint": read_seal_key(directory).fingerprint,
        "draining": directory.drained.exists(),
        "components": [],
        "reach": reach,
    }


def text(found: dict[str, Any]) -> str:
    """For a person."""
    lines = [
        f"atom         {found['atom']} ({found['atom_id']})",
        f"environment  {found['environment']}, molecule {found['molecule']}",
        f"certificate  until {found['certificate_expires_at']}",
        f"seal key     {found['seal_key_fingerprint']}",
    ]
    lines += [f"{'reach        ' if one['ok'] else '✗ '}{one['name']}: {one['detail']}" for one in found["reach"]]
    if not found["running"]:
        return "\n".join([*lines, "state        not running; next: dative-atom run"])
    link = "connected to" if found["connected"] else "not connected to"
    state = "draining" if found["draining"] else "takes work"
    lines += [
        f"state        {state}, {link} {found['controller']}, pid {found['pid']}",
        f"bundle       generation {found['generation']}: {', '.join(found['processes']) or 'no process'}",
        f"executions   {found['running_executions']} running, {found['waiting_executions']} waiting",
        f"spool        {found['spooled_records']} records, {found['spooled_bytes']} bytes not yet sent",
        f"memory       {found['rss_bytes'] >> 20} MB, {found['workers']} workers beside",
    ]
    if found["molecule_settings"] is not None and found["molecule_settings"]["restart_needed"]:
        lines.append("molecule     its settings changed: RESTART NEEDED; drain and restart this atom")
    lines += [f"next         {one['process']} at {one['at']} (in {one['in_s']} s)" for one in found["next"][:3]]
    for part in found["components"]:
        if not part["healthy"]:
            lines += [f"✗ {part['path']}: {part['message']} ({part['code']})", f"     next: {part['next']}"]
    return "\n".join(lines)


async def leave(root: Path, *, force: bool, keep_journal: bool) -> str:
    """Remove the identity; returns the atom's name.

    Errors: agent.not_joined, agent.still_running, agent.records_left.
    """
    directory = DataDir(root)
    identity = read_identity(directory)
    lock = AgentLock(directory)
    try:
        await lock.acquire()
    except DativeError as busy:
        if busy.code is DATA_DIR_BUSY:
            raise DativeError(busy.message, code=STILL_RUNNING) from busy
        raise
    try:
        if not force:
            _refuse_with_records(directory)
        _remove(directory, keep_journal=keep_journal)
    finally:
        lock.release()
    return identity.name


def _refuse_with_records(directory: DataDir) -> None:
    from dative_atom.journal.open import open_journal

    if not directory.journal.exists():
        return
    journal = open_journal(directory.journal, SystemClock())
    try:
        records, unfinished = journal.spooled()[0], len(journal.unfinished())
    finally:
        journal.close()
    if records or unfinished:
        raise DativeError(f"{records} records and {unfinished} executions wait", code=RECORDS_LEFT)


def _remove(directory: DataDir, *, keep_journal: bool) -> None:
    """The identity goes first: a crash in between leaves an atom that has left."""
    for path in (
        directory.identity,
        directory.certificate,
        directory.joining_key,
        directory.seal_key,
        directory.ca,
        directory.accepted,
        directory.active,
        directory.schedules,
        directory.drained,
        directory.molecule,
        directory.molecule_host,
        directory.instance,
        directory.socket,
    ):
        path.unlink(missing_ok=True)
    for folder in (directory.blobs, directory.manifests, directory.commands):
        shutil.rmtree(folder, ignore_errors=True)
    if not keep_journal:
        for path in directory.root.glob("journal.db*"):
            path.unlink(missing_ok=True)
