"""A molecule in words: facts, a line a member, the leaders before this one, and who is kept out. Data in, text out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from dative_controller.cli.output import Column
from dative_controller.cli.plain import Plain

OLD_AFTER_S = 90.0
"""Members speak with every heartbeat: what is older than that is said to be."""
_TERM_BITS = 44
"""A term is the cluster's epoch above these bits, and a revision of etcd below them."""


def term(number: int) -> str:
    """ "1234", or "2.1234" after the cluster was replaced once."""
    epoch, revision = number >> _TERM_BITS, number & ((1 << _TERM_BITS) - 1)
    return f"{epoch}.{revision}" if epoch else str(revision)


def _settings(key: str) -> Column:
    return key.replace("_", " "), f"settings.{key}"


def _leader(item: Plain) -> str:
    status = item["status"]
    if not status:
        return ""
    name = next((one["name"] for one in status["members"] if one["atom_id"] == status["leader"]), status["leader"])
    return f"{name}, term {term(status['term'])}" if status["leader"] else f"none, after term {term(status['term'])}"


def _quorum(item: Plain) -> str:
    etcd = (item["status"] or {}).get("etcd")
    if not etcd:
        return ""
    text = f"{etcd['answering']} of {etcd['members']} members answer, {'quorum' if etcd['quorum'] else 'NO QUORUM'}"
    versions = sorted(set(etcd["versions"].values()))
    text += f", version {', '.join(versions)}" if versions else ""
    if etcd["database_bytes_max"]:
        text += f", database {100 * etcd['database_bytes'] // etcd['database_bytes_max']} % full"
    return text + "".join(f", ALARM {alarm}" for alarm in etcd["alarms"])


def _tolerated(item: Plain) -> str:
    if not item["status"]:
        return ""
    count = item["status"]["failures_tolerated"]
    return f"{count} member{'s' * (count != 1)} may be lost" if count else "none: no failure is tolerated yet"


def _executions(item: Plain) -> str:
    status = item["status"]
    return f"{status['running']} running, {status['assigned']} assigned, {status['pending']} pending" if status else ""


FACTS: list[Column] = [
    ("name", "name"),
    ("environment", "environment"),
    ("settings", lambda item: "" if item["settings"] else "none: its atoms work alone"),
    ("etcd", "settings.etcd_endpoints"),
    ("etcd user", "settings.etcd_user"),
    _settings("journal"),
    ("lease ttl", lambda item: f"{item['settings']['lease_ttl']:g} s" if item["settings"] else ""),
    _settings("version"),
    ("leader", _leader),
    ("quorum", _quorum),
    ("failures tolerated", _tolerated),
    ("executions", _executions),
]


def lines(item: Plain, now: datetime) -> Iterator[str]:
    """What follows the facts: members, history, quarantine. now: says how old the members' word is."""
    status = item["status"]
    known = {one["atom_id"]: one for one in item["atoms"]}
    yield from _members(item, status or {"members": [], "leader": ""}, known)
    if status is None:
        yield "  its members have not said anything yet"
        yield from _quarantined(known, [])
        return
    if status["history"]:
        yield "leaders"
        for one in status["history"]:
            yield f"  term {term(one['term'])}  {one['name'] or one['atom_id']}  since {_moment(one['since'])}"
    yield from _quarantined(known, status["quarantined"])
    observer = known.get(status["observer"], {}).get("name", status["observer"])
    old_s = (now - datetime.fromisoformat(status["observed_at"])).total_seconds() if status["observed_at"] else 0.0
    if old_s > OLD_AFTER_S:
        text = f"  said by {observer} {old_s:.0f} s ago; nobody has been heard of since"
        yield click.style(text, fg="yellow")


def _members(item: Plain, status: Plain, known: dict[str, Plain]) -> Iterator[str]:
    """Those that coordinate, then atoms of the registry that do not."""
    if status["members"]:
        yield "members"
    for one in status["members"]:
        state = "draining" if one["draining"] else "ready" if one["ready"] else "not ready"
        leads = "  leader" if one["atom_id"] == status["leader"] else ""
        link = known.get(one["atom_id"], {}).get("state", "unknown to this controller")
        yield (
            f"  {one['name'] or one['atom_id']}  {state}  {one['running']}/{one['slots']} running, {one['assigned']} assigned"
            f"  version {one['version']}  host {one['host']}  {link}{leads}"
        )
    seen = {one["atom_id"] for one in status["members"]}
    for atom_id, atom in known.items():
        if atom_id not in seen and atom["state"] != "quarantined":
            # Of a name without settings nobody expects that its atoms coordinate.
            word = "not a member now" if item["settings"] else "works alone"
            yield f"  {atom['name']}  {atom['state']}  {word}"


def _quarantined(known: dict[str, Plain], said: list[Plain]) -> Iterator[str]:
    reasons = {one["atom_id"]: (one["name"], one["reason"]) for one in said}
    for atom_id, atom in known.items():
        if atom["state"] == "quarantined":
            reasons[atom_id] = (atom["name"], atom["status"]["message"])
    for atom_id, (name, reason) in reasons.items():
        yield click.style(f"  ✗ {name or atom_id} is quarantined: {reason}", fg="red")
        yield f"    next: dative atom revoke {name or atom_id}; then on each host dative-atom leave, and join again"


def _moment(text: str | None) -> str:
    return f"{text[:10]} {text[11:19]}Z" if text else "?"
