"""data_process: decodes, decompresses, converts and replaces what a field holds."""

from __future__ import annotations

import codecs
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import BINARY, TEXT, DataType
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName
from dative.process.shapes.base import Settings, ShapeSettings
from dative.process.shapes.split import VALUE_BYTES_MAX
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

OPERATIONS_MAX = 20
NO_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"))
"""Python knows them as encodings of text; they are none of a file."""


class Replace(Settings):
    """Every place of a text replaced by another text."""

    text: str | None = Field(default=None, min_length=1, max_length=1000, description="The text to find, as it is.")
    pattern: str | None = Field(
        default=None, min_length=1, max_length=1000, description="Or a regular expression (RE2: linear time)."
    )
    by: str = Field("", max_length=1000, description="What stands there then; `\\1` is a group of the pattern.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.text is None) == (self.pattern is None):
            raise ValueError("replace finds a text or a pattern, one of them")
        return self


class DataOperation(Settings):
    """One operation on the value: exactly one of these."""

    decode: Literal["base64", "hex"] | None = Field(default=None, description="Text to bytes.")
    encode: Literal["base64", "hex"] | None = Field(default=None, description="Bytes to text.")
    decompress: Literal["gzip", "zlib", "zip"] | None = Field(
        default=None, description="Bytes to bytes. Of a zip, its only file."
    )
    compress: Literal["gzip", "zlib", "zip"] | None = Field(
        default=None, description="Bytes to bytes; the same bytes give the same bytes. In a zip, the file `data`."
    )
    to_text: str | None = Field(default=None, max_length=40, description="Bytes of this character set to text.")
    to_bytes: str | None = Field(default=None, max_length=40, description="Text to bytes of this character set.")
    invalid: Literal["error", "replace"] = Field(
        "error",
        description="`to_text`, `to_bytes`: what no character stands for fails the document, or becomes � or ?.",
    )
    replace: Replace | None = Field(default=None, description="Text to text.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.named) != 1:
            raise ValueError("an operation is one of decode, encode, decompress, compress, to_text, to_bytes, replace")
        for name in (self.to_text, self.to_bytes):
            if name is not None and not is_charset(name):
                raise ValueError(
                    f'no character set "{name}": utf-8, utf-16, latin-1, cp1252, cp1250, shift_jis, gb18030, …'
                )
        return self

    @property
    def named(self) -> list[str]:
        names = ("decode", "encode", "decompress", "compress", "to_text", "to_bytes", "replace")
        return [name for name in names if getattr(self, name) is not None]

    @property
    def takes(self) -> DataType:
        return TEXT if self.decode or self.to_bytes or self.replace else BINARY

    @property
    def gives(self) -> DataType:
        return BINARY if self.decode or self.decompress or self.compress or self.to_bytes else TEXT


def is_charset(name: str) -> bool:
    """Whether it is a character set of files."""
    try:
        known = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return bool(known._is_text_encoding) and known.name not in NO_CHARSETS


class DataProcessSettings(ShapeSettings):
    """Does these operations on the value of a field, one after the other; NULL stays NULL.

    A value that an operation can not do fails its document. Bombs stop at the bounds: what is unpacked is counted while
    it is unpacked. `replace` works on columns, the other operations value by value.
    """

    shape: Literal["data_process"] = "data_process"
    field: FieldName = Field(description="The field.")
    into: FieldName | None = Field(default=None, description="Field that takes the result; the same field.")
    do: tuple[DataOperation, ...] = Field(
        min_length=1, max_length=OPERATIONS_MAX, description="The operations, each a mapping like `{decode: base64}`."
    )
    bytes_max: int = Field(
        16 << 20, ge=1, le=VALUE_BYTES_MAX, description="Of the value, before and after every operation."
    )
    ratio_max: int = Field(
        200, ge=2, le=10_000, description="`decompress`: how many times larger than before, beyond 1 MiB."
    )

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        here = (*path, step.verb)
        target = self.into or self.field
        if target.startswith("_"):
            check.report.key(codes.RESERVED_FIELD, f'"{target}" can not be a field: it begins with _', here)
        check.known(self.field, fields, (*here, "field"))
        state = check.reads(self.field, fields) or FieldState()
        kind = state.type
        for index, operation in enumerate(self.do):
            # A text is taken as its UTF-8 where bytes are wanted; bytes are no text until a character set says which.
            if operation.takes == TEXT and kind.known and kind.kind != "text":
                message = f"{operation.named[0]} needs text, and here is {kind}"
                check.report.value(codes.WRONG_VALUE, message, (*here, "do", index))
            kind = operation.gives
        # Packed or encoded it is the same value: whoever has it can read it.
        return replace(fields, fields={**fields.fields, target: replace(state, type=kind, dropped=False)})
