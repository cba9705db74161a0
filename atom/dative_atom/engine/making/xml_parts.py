"""Elements of an XML text as parts of a split, row by row. No document type, no entity, no file, no network.

A document type is refused before the text reaches the parser. libxml2's own limits hold for the rest (a depth of 256, ten
million characters a node), because `huge_tree` stays off.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from dative.errors import shapes as codes
from dative.process.shapes import SplitSettings
from lxml import etree

from dative_atom.engine.evaluation.database import Session
from dative_atom.engine.making.parts import Parser, Parts, Refused, by_rows


def xml_parser(settings: SplitSettings) -> Parser:
    """Elements at `path`, as XML text, or as texts taken out of them. Names are compared without their namespaces."""
    way = (settings.path or "").split("/")
    inner = [place.split("/") for place in settings.fields.values()]

    def read(text: str) -> Sequence[Sequence[str | None]]:
        found = _elements(_root(text), way)
        if len(found) > settings.parts_max:
            raise Refused(codes.TOO_MANY_PARTS, f"{len(found)} parts, at most {settings.parts_max} are allowed")
        return [_part(element, settings, inner) for element in found]

    def parse(values: pa.Array, _: Session) -> Parts:
        return by_rows(values, settings, read)

    return parse


def _root(text: str) -> etree._Element:
    if declares_type(text):
        raise Refused(codes.XML_REFUSED, "the XML declares a document type")
    # The column holds text, so that its own declaration of an encoding no longer means anything.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        encoding="utf-8",
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        line, _ = error.position
        raise Refused(codes.UNREADABLE, f"line {line} is no XML") from error


def declares_type(text: str) -> bool:
    """Whether a document type stands before the first element: only there it can be."""
    place = 0
    while True:
        while place < len(text) and (text[place].isspace() or text[place] == "\ufeff"):
            place += 1
        if text.startswith("<?", place):
            sign = "?>"
        elif text.startswith("<!--", place):
            sign = "-->"
        else:
            return text.startswith("<!", place)
        end = text.find(sign, place)
        if end < 0:
            return False
        place = end + len(sign)


def _elements(root: etree._Element, way: Sequence[str]) -> list[etree._Element]:
    found = [root] if _local(root) == way[0] else []
    for name in way[1:]:
        found = [child for element in found for child in element if _local(child) == name]
    return found


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _part(element: etree._Element, settings: SplitSettings, inner: Sequence[Sequence[str]]) -> list[str | None]:
    whole = [etree.tostring(element, encoding="unicode", with_tail=False)] if settings.into else []
    return [*whole, *(_value(element, way) for way in inner)]


def _value(element: etree._Element, way: Sequence[str]) -> str | None:
    """The text of the first element there, or of an attribute; None where there is none."""
    current: etree._Element | None = element
    for name in way:
        if current is None or name == ".":
            break
        if name.startswith("@"):
            wanted = name[1:]
            values = (str(value) for key, value in current.attrib.items() if str(key).rpartition("}")[2] == wanted)
            return next(values, None)
        current = next((child for child in current if _local(child) == name), None)
    return None if current is None else "".join(str(text) for text in current.itertext())
