"""Things of the controller that more than one noun asks for: an environment, an atom, a page of deployments."""

from __future__ import annotations

from dative.v1 import control_pb2

from dative_controller.cli.app import App

PAGE_MAX = 500


def environment(app: App, name: str | None) -> control_pb2.Environment:
    """By name, id or prefix; None takes the default. Errors: control.not_found, control.ambiguous."""
    request = control_pb2.GetEnvironmentRequest(environment=app.environment_name(name))
    return app.client.read("EnvironmentService/GetEnvironment", request, control_pb2.GetEnvironmentResponse).environment


def environments(app: App) -> list[control_pb2.Environment]:
    request = control_pb2.ListEnvironmentsRequest()
    answer = app.client.read("EnvironmentService/ListEnvironments", request, control_pb2.ListEnvironmentsResponse)
    return list(answer.environments)


def atom(app: App, name: str) -> control_pb2.Atom:
    request = control_pb2.GetAtomRequest(atom=name)
    return app.client.read("FleetService/GetAtom", request, control_pb2.GetAtomResponse).atom


def atoms(app: App, environment_name: str = "") -> list[control_pb2.Atom]:
    request = control_pb2.ListAtomsRequest(environment=environment_name)
    return list(app.client.read("FleetService/ListAtoms", request, control_pb2.ListAtomsResponse).atoms)


def molecule(app: App, environment_id: str, name: str) -> control_pb2.Molecule:
    """Errors: control.not_found for a name with neither settings nor atoms."""
    request = control_pb2.GetMoleculeRequest(environment=environment_id, name=name)
    return app.client.read("MoleculeService/GetMolecule", request, control_pb2.GetMoleculeResponse).molecule


def deployments(app: App, environment_id: str, molecule: str, *, rows: int = PAGE_MAX) -> list[control_pb2.Deployment]:
    """Newest first, at most `rows` and 500."""
    request = control_pb2.ListDeploymentsRequest(
        environment=environment_id, molecule=molecule, page_size=min(rows, PAGE_MAX)
    )
    answer = app.client.read("DeploymentService/ListDeployments", request, control_pb2.ListDeploymentsResponse)
    return list(answer.deployments)
