"""`dative find`: where a record went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dative_controller.cli.app import App, command, env_option
from dative_controller.cli.output import Column, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dative.v1.control_pb2 import FindDocumentsRequest, FindDocumentsResponse, Hasher

    from dative_controller.cli.plain import Plain

FIND_PURPOSE = "dative/find/v1"
_COLUMNS: list[Column] = [
    ("when", moment("at")),
    ("process", lambda item: f"{item['process']} r{item['process_version']}"),
    ("execution", "execution_id"),
    ("outcome", lambda item: "written, was there" if item["effect"] == "unchanged" else item["outcome"]),
    ("step", "step"),
    ("target", "target"),
    ("why", lambda item: f"{item['reason']} ({item['code']})" if item["reason"] else ""),
    ("keys", lambda item: {**item["keys"], **dict.fromkeys(item["hashed_keys"], "(hashed)")}),
    ("next", "next"),
]


@command("find")
@click.argument("key")
@env_option
@click.option("--field", default="", metavar="NAME", help="Among the values of this tracked field only.")
@click.option("--process", default="", metavar="NAME", help="Of this process only.")
@click.option("--since", metavar="24h", help="Settled then or later: 30m, 24h, 7d, or a moment in ISO 8601.")
@click.option("--until", metavar="24h", help="Settled before then.")
@click.option("--classified", is_flag=True, help="Only among hashed keys: the value never reaches the controller.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many, newest first."
)
def find(
    app: App,
    key: str,
    environment: str | None,
    field: str,
    process: str,
    since: str | None,
    until: str | None,
    classified: bool,
    limit: int,
) -> None:
    """Where a record went, by the value of any tracked field: which run, which step, which target, and why.

    KEY - is read from stdin, for a value that must not stand in the shell's history. Keys that a process tracks by
    their hash are searched too, where you may see payloads: an atom hashes the value, sealed to it.
    """
    from dative.errors import control
    from dative.errors.cli import CliError
    from dative.v1.control_pb2 import FindDocumentsRequest

    from dative_controller.cli.moments import since as moment_of

    key = sys.stdin.readline().rstrip("\n") if key == "-" else key
    if not key:
        raise click.UsageError("give the value of a tracked field")
    request = FindDocumentsRequest(environment=environment or "", field=field, process=process)
    for name, text in (("since", since), ("until", until)):
        if text:
            getattr(request, name).FromDatetime(moment_of(text, app.clock.now(), f"--{name}"))
    # Without a key the answer only says which atoms can hash one.
    items, hashers = _pages(app, request, "" if classified else key, limit)
    if classified and not hashers:
        raise CliError("no environment that you may search has hashed keys", code=control.NOT_FOUND)
    for hasher in hashers:
        items += _hashed(app, request, hasher, key, limit)
    items.sort(key=lambda item: int(item["part_number"]), reverse=True)
    del items[limit:]
    app.out.items("Document", items, _COLUMNS, name="execution_id")
    if not items:
        where = f" in {environment}" if environment else ""
        raise CliError(
            f"no tracked document with this key{where}", code=control.NOT_FOUND, next="Is the field in `track:`?"
        )


def _pages(
    app: App, wanted: FindDocumentsRequest, key: str, limit: int, sealed_key: bytes = b"", atom: str = ""
) -> tuple[list[Plain], Sequence[Hasher]]:
    """Documents, and the atoms that can hash a key, as the first page names them."""
    from dative.v1.control_pb2 import FindDocumentsRequest, FindDocumentsResponse

    from dative_controller.cli.plain import plain

    request = FindDocumentsRequest()
    request.CopyFrom(wanted)
    request.key, request.sealed_key, request.atom = key, sealed_key, atom
    items: list[Plain] = []
    first: FindDocumentsResponse | None = None
    while first is None or (request.before and len(items) < limit):
        request.page_size = min(limit - len(items), 500)
        answer = app.client.read("ExecutionService/FindDocuments", request, FindDocumentsResponse)
        items += [{**plain(one), "next": _next(plain(one))} for one in answer.documents]
        first, request.before = first or answer, answer.next_before
    return items, first.hashers


def _hashed(app: App, wanted: FindDocumentsRequest, hasher: Hasher, key: str, limit: int) -> list[Plain]:
    """What an environment has under the hash of the key."""
    from dative.secrets import seal, seal_info

    if not hasher.atom:
        app.say(f"  hashed keys of {hasher.environment} were not searched: none of its atoms is connected")
        return []
    sealed = seal(key.encode(), hasher.seal_public_key, seal_info(FIND_PURPOSE, hasher.environment_id))
    request = type(wanted)()
    request.CopyFrom(wanted)
    request.environment = hasher.environment
    return _pages(app, request, "", limit, sealed, hasher.atom)[0]


def _next(item: Plain) -> str:
    """What to type to see more of it."""
    if item["dead_letter_id"]:
        return f"dative dlq show {item['dead_letter_id']}"
    return f"dative trace show {item['trace_id'] or item['execution_id']}"
