"""branch: sends a copy of each document along every one of its arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.cache_add import CacheAddSettings
from dative.process.shapes.cache_remove import CacheRemoveSettings
from dative.process.shapes.set_properties import SetPropertiesSettings
from dative.process.shapes.step import Arm, Step, walk

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

ARMS_MAX = 25


class BranchSettings(ShapeSettings):
    """Sends a copy of each document along every arm, one arm after the other; then the documents go on as they came.

    A document that fails in an arm, and is not caught there, takes no later arm and does not go on: it takes the catch
    route as one document. A `stop` in an arm ends that arm's copy only.
    """

    FORM: ClassVar[Form] = Form(value="branches", beside={"parallel": "parallel"}, nested={"branches": "arms"})

    shape: Literal["branch"] = "branch"
    branches: tuple[Arm, ...] = Field(
        min_length=1, max_length=ARMS_MAX, description="The arms, in the order in which they are taken."
    )
    parallel: bool = Field(
        False, description="All arms at the same time: for slow targets that do not wait for one another."
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        names: set[str] = set()
        for index, arm in enumerate(self.branches):
            here = (*path, step.verb, index)
            if index == ARMS_MAX:
                check.report.value(codes.WRONG_VALUE, f"a branch has at most {ARMS_MAX} arms", here)
            if arm.name in names:
                check.report.value(codes.WRONG_VALUE, f'two arms are called "{arm.name}"', here)
            names.add(arm.name)
            check.steps(arm.steps, (*here, "steps"), fields)
            for inner, place in walk(arm.steps, (*here, "steps")) if self.parallel else ():
                settings = inner.settings
                changes = isinstance(settings, CacheAddSettings | CacheRemoveSettings)
                if changes or (isinstance(settings, SetPropertiesSettings) and settings.running()):
                    message = f'"{inner.id}" changes what others read inside a parallel branch'
                    check.report.key(codes.PROPERTY_PARALLEL, message, place)
        return fields
