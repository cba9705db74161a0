"""MoleculeService: molecules with settings, checked whole before they are stored, and what their members say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio
from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.molecules import NOT_EMPTY
from dative.molecule_settings import MoleculeSettings
from dative.v1 import control_pb2, control_pb2_grpc, types_pb2
from sqlalchemy import Connection

from dative_controller.links.enrollment import NAME
from dative_controller.server.caller import Caller, caller
from dative_controller.server.core import Core
from dative_controller.server.fleet_service import shown_atom
from dative_controller.server.visible import visible_in
from dative_controller.store import environments, fleet, molecules
from dative_controller.store.changes import Change, publish

Context = grpc.aio.ServicerContext[Any, Any]


class MoleculeServicer(control_pb2_grpc.MoleculeServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateMolecule(  # noqa: N802
        self, request: control_pb2.CreateMoleculeRequest, _context: Context
    ) -> control_pb2.CreateMoleculeResponse:
        """Errors: molecule.settings_invalid, molecule.settings_hold_secret, control.bad_name, control.name_taken."""
        if not NAME.match(request.name):
            raise DativeError(f"{request.name[:80]!r} is no name for a molecule", code=codes.BAD_NAME)
        settings, warnings = _checked(request.settings)

        def create(sql: Connection, who: Caller) -> tuple[control_pb2.CreateMoleculeResponse, str]:
            environment_id = self._environment(sql, who, request.environment)
            molecules.create(sql, environment_id, request.name, settings, self._core.now_ms())
            self._publish(sql, environment_id, request.name)
            made = self._shown(sql, environment_id, request.name)
            answer = control_pb2.CreateMoleculeResponse(molecule=made, warnings=warnings)
            return answer, f"{environment_id}/{request.name}"

        return await self._core.change(request, control_pb2.CreateMoleculeResponse, create)

    async def SetMolecule(  # noqa: N802
        self, request: control_pb2.SetMoleculeRequest, _context: Context
    ) -> control_pb2.SetMoleculeResponse:
        """Errors: as CreateMolecule; control.not_found, control.version_conflict."""
        settings, warnings = _checked(request.settings)

        def change(sql: Connection, who: Caller) -> tuple[control_pb2.SetMoleculeResponse, str]:
            environment_id = self._environment(sql, who, request.environment)
            molecules.replace(sql, environment_id, request.name, settings, request.expected_version)
            self._publish(sql, environment_id, request.name)
            made = self._shown(sql, environment_id, request.name)
            answer = control_pb2.SetMoleculeResponse(molecule=made, warnings=warnings)
            return answer, f"{environment_id}/{request.name}"

        return await self._core.change(request, control_pb2.SetMoleculeResponse, change)

    async def RemoveMolecule(  # noqa: N802
        self, request: control_pb2.RemoveMoleculeRequest, _context: Context
    ) -> control_pb2.RemoveMoleculeResponse:
        """Errors: control.not_found; molecule.not_empty while atoms are in it, which would lose each other."""

        def remove(sql: Connection, who: Caller) -> tuple[control_pb2.RemoveMoleculeResponse, str]:
            environment_id = self._environment(sql, who, request.environment)
            inside = [row.name for row in fleet.listed(sql, environment_id, request.name) if row.state != "revoked"]
            if inside:
                raise DativeError(
                    f"{len(inside)} atoms are in molecule {request.name}: {', '.join(inside[:10])}", code=NOT_EMPTY
                )
            molecules.remove(sql, environment_id, request.name)
            self._publish(sql, environment_id, request.name)
            return control_pb2.RemoveMoleculeResponse(), f"{environment_id}/{request.name}"

        return await self._core.change(request, control_pb2.RemoveMoleculeResponse, remove)

    async def ListMolecules(  # noqa: N802
        self, request: control_pb2.ListMoleculesRequest, _context: Context
    ) -> control_pb2.ListMoleculesResponse:
        who = caller()

        def read(sql: Connection) -> list[control_pb2.Molecule]:
            within = visible_in(sql, who, request.environment)
            rows = [row for row in environments.rows(sql) if within is None or row.environment_id in within]
            return [
                self._shown(sql, str(row.environment_id), name, whole=False)
                for row in rows
                for name in molecules.names(sql, str(row.environment_id))
            ]

        return control_pb2.ListMoleculesResponse(molecules=await self._core.database.read(read))

    async def GetMolecule(  # noqa: N802
        self, request: control_pb2.GetMoleculeRequest, _context: Context
    ) -> control_pb2.GetMoleculeResponse:
        """Errors: control.not_found for a name that has neither settings nor atoms."""
        who = caller()

        def read(sql: Connection) -> control_pb2.Molecule:
            environment_id = self._environment(sql, who, request.environment)
            if request.name not in molecules.names(sql, environment_id):
                raise DativeError(f"no molecule {request.name[:80]}", code=codes.NOT_FOUND)
            return self._shown(sql, environment_id, request.name)

        return control_pb2.GetMoleculeResponse(molecule=await self._core.database.read(read))

    # ---- parts --------------------------------------------------------------------------------------------------

    def _environment(self, sql: Connection, who: Caller, wanted: str) -> str:
        row = environments.find(sql, wanted)
        environment_id = str(row.environment_id)
        who.require(environment_id)
        return environment_id

    def _publish(self, sql: Connection, environment_id: str, name: str) -> None:
        publish(sql, Change("molecule", environment_id, name), self._core.now_ms())

    def _shown(self, sql: Connection, environment_id: str, name: str, *, whole: bool = True) -> control_pb2.Molecule:
        """whole: with what its members said last, the stored or what this controller heard since."""
        shown = control_pb2.Molecule(
            environment_id=environment_id, environment=str(environments.find(sql, environment_id).name), name=name
        )
        row = molecules.found(sql, environment_id, name)
        if row is not None:
            shown.settings.ParseFromString(row.settings)
            shown.created_at.FromMilliseconds(row.created_ms)
        rows = [row for row in fleet.listed(sql, environment_id, name) if row.state != "revoked"]
        shown.atoms.extend(shown_atom(self._core, sql, row) for row in rows)
        if whole and (status := self._status(sql, environment_id, name)) is not None:
            shown.status.CopyFrom(_named(status, rows))
        return shown

    def _status(self, sql: Connection, environment_id: str, name: str) -> types_pb2.MoleculeStatus | None:
        stored = molecules.status_of(sql, environment_id, name)
        heard = self._core.hub.statuses.newest(environment_id, name)
        if stored is None or heard is None:
            return stored or heard
        said = (molecules.Said(environment_id, name, one) for one in (stored, heard))
        return max(said, key=lambda one: one.order).status


def _checked(wanted: types_pb2.MoleculeSettings) -> tuple[types_pb2.MoleculeSettings, Sequence[str]]:
    """As they are stored, and what deserves a warning."""
    settings = MoleculeSettings.from_wire(wanted)
    warnings = settings.check()
    return settings.to_wire(), warnings


def _named(status: types_pb2.MoleculeStatus, rows: Sequence[fleet.AtomRow]) -> types_pb2.MoleculeStatus:
    """Members know one another by id; people by the names that the registry has."""
    names = {row.atom_id: row.name for row in rows}
    shown = types_pb2.MoleculeStatus()
    shown.CopyFrom(status)
    for member in shown.members:
        member.name = names.get(member.atom_id, member.name)
    for leader in shown.history:
        leader.name = names.get(leader.atom_id, leader.name)
    for apart in shown.quarantined:
        apart.name = names.get(apart.atom_id, apart.name)
    return shown
