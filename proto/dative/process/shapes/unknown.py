"""A step that could not be read: it exists only in a draft, so that its neighbours can be checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck


class UnknownSettings(ShapeSettings):
    """A step that could not be read; runs nowhere. Whatever it had made of the fields, it may be there after it."""

    shape: Literal["unknown"] = "unknown"

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        return replace(fields, open=True)
