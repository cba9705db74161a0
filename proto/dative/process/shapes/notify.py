"""notify: tells people something about a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dative.process.fields import Fields
from dative.process.findings import Path
from dative.process.scalars import Sql
from dative.process.shapes.base import ShapeSettings
from dative.process.shapes.exception import told
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

NOTICES_MAX = 1_000
TITLE_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 10_000


class NotifySettings(ShapeSettings):
    """Tells people something about each document that reaches it: an event at the controller; the documents go on.

    It is told once a document, when the document's batch settles, after a resume too. An execution tells at most 1,000;
    then one more says that the others are left out. Put a `decide` before it to choose documents.
    """

    shape: Literal["notify"] = "notify"
    level: Literal["info", "warning", "error"] = Field("info", description="How urgent it is.")
    title: Sql = Field(description="SQL expression of one line, at most 200 characters; nothing classified.")
    text: Sql = Field(
        "NULL",
        description="SQL expression of the text. Beyond 10,000 characters it is cut and says so; nothing classified.",
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        for name in ("title", "text"):
            told(getattr(self, name), (*path, step.verb, name), fields, check)
        return fields
