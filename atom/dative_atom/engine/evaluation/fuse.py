"""Which steps ask about documents as the map before them made them: those are answered together with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from dative_atom.engine.evaluation.query import Query
from dative_atom.engine.plan import Shape
from dative_atom.engine.shapes.decide import Decide
from dative_atom.engine.shapes.map import Map
from dative_atom.engine.shapes.mask import Mask


def fuse(shapes: Sequence[Shape]) -> None:
    """Let every map among these steps, which follow one another, lead what the step after it asks."""
    for shape, after in pairwise(shapes):
        if isinstance(shape, Map) and isinstance(shape.fields, Query):
            shape.fields.lead(list(_asked(after)))


def _asked(shape: Shape) -> Iterator[Query]:
    """The queries over the documents as they come to this step, unchanged: an arm begins with what came to its decide."""
    if isinstance(shape, Map) and isinstance(shape.fields, Query):
        yield shape.fields
    if isinstance(shape, Mask | Decide):
        yield shape.query
    if isinstance(shape, Decide):
        for arm in (shape.then, shape.otherwise):
            for first in arm[:1]:
                yield from _asked(first)
