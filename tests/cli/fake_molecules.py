"""What the fake controller answers about molecules: kept as it is given, with a status that a test sets."""

from __future__ import annotations

from typing import Any

from dative.errors import DativeError
from dative.errors import control as codes
from dative.molecule_settings import MoleculeSettings
from dative.v1 import control_pb2


class Molecules:
    def __init__(self, state: Any) -> None:
        self.s = state

    def CreateMolecule(self, request: Any) -> Any:
        made = control_pb2.Molecule(
            environment_id=request.environment, environment="dev", name=request.name, settings=request.settings
        )
        made.settings.version = 1
        self.s.molecules[request.name] = made
        return control_pb2.CreateMoleculeResponse(molecule=made, warnings=self._warnings(request))

    def SetMolecule(self, request: Any) -> Any:
        made = self.s.molecules[request.name]
        assert request.expected_version == made.settings.version
        made.settings.CopyFrom(request.settings)
        made.settings.version = request.expected_version + 1
        return control_pb2.SetMoleculeResponse(molecule=made, warnings=self._warnings(request))

    def _warnings(self, request: Any) -> list[str]:
        return MoleculeSettings.from_wire(request.settings).check()

    def RemoveMolecule(self, request: Any) -> Any:
        del self.s.molecules[request.name]
        return control_pb2.RemoveMoleculeResponse()

    def ListMolecules(self, _request: Any) -> Any:
        return control_pb2.ListMoleculesResponse(molecules=self.s.molecules.values())

    def GetMolecule(self, request: Any) -> Any:
        if request.name not in self.s.molecules:
            raise DativeError(f"no molecule {request.name}", code=codes.NOT_FOUND)
        return control_pb2.GetMoleculeResponse(molecule=self.s.molecules[request.name])
