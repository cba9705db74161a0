"""How each verb is compiled; a new shape is one file beside this one and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dative.process.shapes import (
    BranchSettings,
    BusinessRulesSettings,
    CacheAddSettings,
    CacheGetSettings,
    CacheRemoveSettings,
    CleanseSettings,
    CombineSettings,
    DataProcessSettings,
    DeadLetterSettings,
    DecideSettings,
    ExceptionSettings,
    FindChangesSettings,
    MapSettings,
    MaskSettings,
    MessageSettings,
    NestSettings,
    NotifySettings,
    OperationSettings,
    ProcessCallSettings,
    ProcessRouteSettings,
    ProgramCommandSettings,
    ReturnDocumentsSettings,
    RouteSettings,
    ScriptSettings,
    SetPropertiesSettings,
    ShapeSettings,
    SplitSettings,
    StopSettings,
    TrySettings,
    UnnestSettings,
)

from dative_atom.engine.arrival import Arrival
from dative_atom.engine.plan import Shape
from dative_atom.engine.shapes.branch import compile_branch
from dative_atom.engine.shapes.business_rules import compile_business_rules
from dative_atom.engine.shapes.cache import compile_cache_add, compile_cache_get, compile_cache_remove
from dative_atom.engine.shapes.cleanse import compile_cleanse
from dative_atom.engine.shapes.combine import compile_combine
from dative_atom.engine.shapes.data_process import compile_data_process
from dative_atom.engine.shapes.dead_letter import compile_dead_letter
from dative_atom.engine.shapes.decide import compile_decide
from dative_atom.engine.shapes.exception import compile_exception
from dative_atom.engine.shapes.find_changes import compile_find_changes
from dative_atom.engine.shapes.map import compile_map
from dative_atom.engine.shapes.mask import compile_mask
from dative_atom.engine.shapes.message import compile_message
from dative_atom.engine.shapes.nest import compile_nest
from dative_atom.engine.shapes.notify import compile_notify
from dative_atom.engine.shapes.process_call import compile_process_call
from dative_atom.engine.shapes.process_route import compile_process_route
from dative_atom.engine.shapes.program_command import compile_program_command
from dative_atom.engine.shapes.return_documents import compile_return_documents
from dative_atom.engine.shapes.route import compile_route
from dative_atom.engine.shapes.script import compile_script
from dative_atom.engine.shapes.set_properties import compile_set_properties
from dative_atom.engine.shapes.split import compile_split
from dative_atom.engine.shapes.stop import compile_stop
from dative_atom.engine.shapes.target import compile_target
from dative_atom.engine.shapes.try_catch import compile_try
from dative_atom.engine.shapes.unnest import compile_unnest

COMPILERS: Final[Mapping[type[ShapeSettings], Callable[[Arrival], Shape]]] = {
    MapSettings: compile_map,
    NestSettings: compile_nest,
    UnnestSettings: compile_unnest,
    SetPropertiesSettings: compile_set_properties,
    DecideSettings: compile_decide,
    RouteSettings: compile_route,
    MaskSettings: compile_mask,
    TrySettings: compile_try,
    BranchSettings: compile_branch,
    DeadLetterSettings: compile_dead_letter,
    MessageSettings: compile_message,
    NotifySettings: compile_notify,
    ExceptionSettings: compile_exception,
    CacheAddSettings: compile_cache_add,
    CacheGetSettings: compile_cache_get,
    CacheRemoveSettings: compile_cache_remove,
    BusinessRulesSettings: compile_business_rules,
    CleanseSettings: compile_cleanse,
    StopSettings: compile_stop,
    SplitSettings: compile_split,
    CombineSettings: compile_combine,
    FindChangesSettings: compile_find_changes,
    DataProcessSettings: compile_data_process,
    ProgramCommandSettings: compile_program_command,
    ScriptSettings: compile_script,
    ProcessCallSettings: compile_process_call,
    ProcessRouteSettings: compile_process_route,
    ReturnDocumentsSettings: compile_return_documents,
    OperationSettings: compile_target,
}
