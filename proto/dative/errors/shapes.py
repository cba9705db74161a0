"""Codes of the shapes: what a document fails for, and what ends an execution, at a step of the process itself."""

from __future__ import annotations

from dative.errors.base import Code

NOT_CALLED = Code(
    "shape.not_called",
    "FAILED_PRECONDITION",
    "The process starts with documents that a calling process gives, and it was started by itself.",
    "Run the process that calls it, or test it with records of its own: dative process test FILE.",
)
