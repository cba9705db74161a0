"""`dative status`: one page."""

from __future__ import annotations

import click

from dative_controller.cli.app import App, command
from dative_controller.cli.output import Column

DEAD_LETTERS_SHOWN_MAX = 500
EXECUTIONS_SHOWN_MAX = 100


@command("status")
def status(app: App) -> None:
    """One page: environments, atoms, what runs, what waits for a person. Red only when somebody is needed."""
    from dative.v1 import control_pb2, types_pb2

    from dative_controller.cli import estate

    items = []
    for environment in estate.environments(app):
        atoms = estate.atoms(app, environment.environment_id)
        letters = app.client.read(
            "DeadLetterService/ListDeadLetters",
            control_pb2.ListDeadLettersRequest(
                environment=environment.environment_id, page_size=DEAD_LETTERS_SHOWN_MAX
            ),
            control_pb2.ListDeadLettersResponse,
        )
        runs = app.client.read(
            "ExecutionService/ListExecutions",
            control_pb2.ListExecutionsRequest(environment=environment.environment_id, page_size=EXECUTIONS_SHOWN_MAX),
            control_pb2.ListExecutionsResponse,
        ).executions
        deployed = estate.deployments(app, environment.environment_id, "default", rows=1)
        refused = [atom.name for atom in atoms if atom.status.code and atom.state != "revoked"]
        items.append(
            {
                "name": environment.name,
                "production": environment.production,
                "generation": deployed[0].generation if deployed else 0,
                "processes": list(deployed[0].processes) if deployed else [],
                "atoms_online": sum(atom.state in ("online", "draining") for atom in atoms),
                "atoms": sum(atom.state != "revoked" for atom in atoms),
                "atoms_pending": [atom.name for atom in atoms if atom.state == "pending"],
                "atoms_refused": refused,
                "running": sum(run.state == types_pb2.EXECUTION_STATE_RUNNING for run in runs),
                "failed": sum(run.state == types_pb2.EXECUTION_STATE_FAILED for run in runs),
                "dead_letters": len(letters.dead_letters),
                "more_dead_letters": bool(letters.next_before_dead_letter_id),
            }
        )
    columns: list[Column] = [
        ("environment", lambda item: item["name"] + (" (production)" if item["production"] else "")),
        ("generation", "generation"),
        ("atoms", lambda item: f"{item['atoms_online']}/{item['atoms']}"),
        ("running", "running"),
        ("failed", "failed"),
        ("dead letters", lambda item: f"{item['dead_letters']}{'+' * item['more_dead_letters']}"),
        ("processes", "processes"),
    ]
    app.out.items("EnvironmentStatus", items, columns)
    if not app.out.is_table:
        return
    for item in items:
        for text in _calls(item):
            click.echo(click.style(f"  ▲ {text}", fg="red"))
    if not items:
        app.say("  next   dative env create NAME")


def _calls(item: dict[str, object]) -> list[str]:
    """What somebody should look at, each with the command that shows it."""
    name = item["name"]
    found = [f"atom {atom} waits for approval: dative atom approve {atom}" for atom in _texts(item["atoms_pending"])]
    found += [
        f"atom {atom} did not take generation {item['generation']}: dative atom show {atom}"
        for atom in _texts(item["atoms_refused"])
    ]
    if item["atoms"] and not item["atoms_online"]:
        found.append(f"no atom of {name} is online: dative atom list --env {name}")
    if item["dead_letters"]:
        found.append(f"{item['dead_letters']} documents of {name} wait for a person: dative dlq list --env {name}")
    if item["failed"]:
        found.append(
            f"{item['failed']} of the last runs in {name} failed: dative execution list --env {name} --status failed"
        )
    return found


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
