"""Every verb of the language. A new shape is one file beside this one, one line here, and one file in the engine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dative.process.shapes.base import Settings, ShapeSettings
from dative.process.shapes.branch import BranchSettings
from dative.process.shapes.business_rules import BusinessRulesSettings
from dative.process.shapes.cache_add import CacheAddSettings
from dative.process.shapes.cache_get import CacheGetSettings
from dative.process.shapes.cache_remove import CacheRemoveSettings
from dative.process.shapes.cleanse import CleanseSettings
from dative.process.shapes.combine import CombineSettings
from dative.process.shapes.data_process import DataProcessSettings
from dative.process.shapes.dead_letter import DeadLetterSettings
from dative.process.shapes.decide import DecideSettings
from dative.process.shapes.documents import DocumentsSettings, NothingSettings
from dative.process.shapes.exception import ExceptionSettings
from dative.process.shapes.find_changes import FindChangesSettings
from dative.process.shapes.map import MapSettings
from dative.process.shapes.mask import MaskSettings
from dative.process.shapes.message import MessageSettings
from dative.process.shapes.nest import NestSettings
from dative.process.shapes.notify import NotifySettings
from dative.process.shapes.operation import OperationSettings
from dative.process.shapes.process_call import ProcessCallSettings
from dative.process.shapes.process_route import ProcessRouteSettings
from dative.process.shapes.program_command import ProgramCommandSettings
from dative.process.shapes.return_documents import ReturnDocumentsSettings
from dative.process.shapes.route import RouteSettings
from dative.process.shapes.script import ScriptSettings
from dative.process.shapes.set_properties import SetPropertiesSettings
from dative.process.shapes.split import SplitSettings
from dative.process.shapes.step import Arm, Step
from dative.process.shapes.stop import StopSettings
from dative.process.shapes.try_catch import TrySettings
from dative.process.shapes.unnest import UnnestSettings

VERBS: dict[str, type[ShapeSettings]] = {
    "map": MapSettings,
    "nest": NestSettings,
    "unnest": UnnestSettings,
    "set_properties": SetPropertiesSettings,
    "message": MessageSettings,
    "notify": NotifySettings,
    "cache_add": CacheAddSettings,
    "cache_get": CacheGetSettings,
    "cache_remove": CacheRemoveSettings,
    "decide": DecideSettings,
    "route": RouteSettings,
    "branch": BranchSettings,
    "mask": MaskSettings,
    "cleanse": CleanseSettings,
    "try": TrySettings,
    "dead_letter": DeadLetterSettings,
    "exception": ExceptionSettings,
    "business_rules": BusinessRulesSettings,
    "stop": StopSettings,
    "split": SplitSettings,
    "combine": CombineSettings,
    "find_changes": FindChangesSettings,
    "data_process": DataProcessSettings,
    "script": ScriptSettings,
    "program_command": ProgramCommandSettings,
    "process_call": ProcessCallSettings,
    "process_route": ProcessRouteSettings,
    "return_documents": ReturnDocumentsSettings,
}
"""Every verb of a step that is no operation, in the order of the reference."""

SOURCES: dict[str, type[ShapeSettings]] = {"documents": DocumentsSettings, "nothing": NothingSettings}
"""Every verb of a source that is no operation."""

StepSettings = Annotated[
    MapSettings
    | NestSettings
    | UnnestSettings
    | SetPropertiesSettings
    | MessageSettings
    | NotifySettings
    | CacheAddSettings
    | CacheGetSettings
    | CacheRemoveSettings
    | DecideSettings
    | RouteSettings
    | BranchSettings
    | MaskSettings
    | CleanseSettings
    | TrySettings
    | DeadLetterSettings
    | ExceptionSettings
    | BusinessRulesSettings
    | StopSettings
    | SplitSettings
    | CombineSettings
    | FindChangesSettings
    | DataProcessSettings
    | ScriptSettings
    | ProgramCommandSettings
    | ProcessCallSettings
    | ProcessRouteSettings
    | ReturnDocumentsSettings
    | DocumentsSettings
    | NothingSettings
    | OperationSettings,
    Field(discriminator="shape"),
]

BESIDE: dict[str, str] = {key: verb for verb, model in VERBS.items() for key in model.FORM.beside}
"""Key beside a verb -> the verb it belongs to; no two verbs share one."""

_recursive: tuple[type[Settings], ...] = (*VERBS.values(), *SOURCES.values(), Arm, Step)
for _model in _recursive:
    _model.model_rebuild(_types_namespace={"Step": Step, "StepSettings": StepSettings})
