"""The settings of every shape, and the step that carries them: what a process may say, not what is done."""

from dative.process.shapes.base import Form, Nesting, Settings, ShapeSettings
from dative.process.shapes.branch import BranchSettings
from dative.process.shapes.business_rules import BusinessRulesSettings
from dative.process.shapes.cache_add import CacheAddSettings
from dative.process.shapes.cache_get import CacheGetSettings
from dative.process.shapes.cache_remove import CacheRemoveSettings
from dative.process.shapes.cleanse import CleanseSettings
from dative.process.shapes.combine import CombineSettings, parse_total
from dative.process.shapes.data_process import DataOperation, DataProcessSettings
from dative.process.shapes.dead_letter import DeadLetterSettings
from dative.process.shapes.decide import DecideSettings
from dative.process.shapes.documents import DocumentsSettings, NothingSettings
from dative.process.shapes.exception import ExceptionSettings
from dative.process.shapes.find_changes import FindChangesSettings
from dative.process.shapes.map import MapSettings, NestedField
from dative.process.shapes.mask import MaskSettings
from dative.process.shapes.message import MessageSettings
from dative.process.shapes.nest import NestSettings
from dative.process.shapes.notify import NotifySettings
from dative.process.shapes.operation import OperationSettings
from dative.process.shapes.process_call import ProcessCallSettings
from dative.process.shapes.process_route import ProcessRouteSettings
from dative.process.shapes.program_command import ProgramCommandSettings
from dative.process.shapes.registry import BESIDE, SOURCES, VERBS
from dative.process.shapes.return_documents import ReturnDocumentsSettings
from dative.process.shapes.route import RouteSettings
from dative.process.shapes.script import ScriptSettings
from dative.process.shapes.set_properties import SetPropertiesSettings
from dative.process.shapes.split import SplitSettings
from dative.process.shapes.step import (
    MODIFIERS,
    STEPS_MAX,
    Arm,
    BackoffSettings,
    ErrorClass,
    LinkSettings,
    RetrySettings,
    Step,
    VerifySettings,
    renamed,
    walk,
)
from dative.process.shapes.stop import StopSettings
from dative.process.shapes.try_catch import TrySettings
from dative.process.shapes.unknown import UnknownSettings
from dative.process.shapes.unnest import UnnestSettings

__all__ = [
    "BESIDE",
    "MODIFIERS",
    "SOURCES",
    "STEPS_MAX",
    "VERBS",
    "Arm",
    "BackoffSettings",
    "BranchSettings",
    "BusinessRulesSettings",
    "CacheAddSettings",
    "CacheGetSettings",
    "CacheRemoveSettings",
    "CleanseSettings",
    "CombineSettings",
    "DataOperation",
    "DataProcessSettings",
    "DeadLetterSettings",
    "DecideSettings",
    "DocumentsSettings",
    "ErrorClass",
    "ExceptionSettings",
    "FindChangesSettings",
    "Form",
    "LinkSettings",
    "MapSettings",
    "MaskSettings",
    "MessageSettings",
    "NestSettings",
    "NestedField",
    "Nesting",
    "NothingSettings",
    "NotifySettings",
    "OperationSettings",
    "ProcessCallSettings",
    "ProcessRouteSettings",
    "ProgramCommandSettings",
    "RetrySettings",
    "ReturnDocumentsSettings",
    "RouteSettings",
    "ScriptSettings",
    "SetPropertiesSettings",
    "Settings",
    "ShapeSettings",
    "SplitSettings",
    "Step",
    "StopSettings",
    "TrySettings",
    "UnknownSettings",
    "UnnestSettings",
    "VerifySettings",
    "parse_total",
    "renamed",
    "walk",
]
