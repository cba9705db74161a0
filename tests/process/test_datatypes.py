"""The texts of types: what is written reads back, and hostile ones are refused at once."""

from __future__ import annotations

import pytest
from dative.process import datatypes
from dative.process.datatypes import DataType, joined, list_of, parse_type, struct_of
from hypothesis import given
from hypothesis import strategies as st

PLAIN = [datatypes.TEXT, datatypes.INTEGER, datatypes.DOUBLE, datatypes.DATE, datatypes.JSON, datatypes.decimal(18, 2),
         DataType("text", 80)]  # fmt: skip
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\n\r"), min_size=1, max_size=8)
TYPES = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: inner.map(list_of) | st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(struct_of),
    max_leaves=5,
)


def _depth(kind: DataType) -> int:
    inner = [kind.item] if kind.item is not None else [field for _, field in kind.fields]
    return 1 + max((_depth(each) for each in inner), default=-1) if inner else 0


@given(TYPES)
def test_a_type_that_is_written_reads_back_the_same(kind: DataType) -> None:
    if _depth(kind) <= datatypes.DEPTH_MAX:
        assert parse_type(str(kind)) == kind
    assert joined(kind, kind) == kind


@pytest.mark.parametrize(
    "text",
    ["", "lists(text)", "list()", "list(text", "{}", "{a}", "{a: text,}", "{a: text, a: text}", "{: text}", "decimal(2,5)",
     "decimal(a,b)", "text(-1)", "list(" * 100_000, "{a: " * 50_000, "list(text)" * 9, "{" + "a: text," * 90_000 + "}",
     "list(" * 8 + "text" + ")" * 8],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no type|needs 0|at most"):
        parse_type(text)
