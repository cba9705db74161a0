"""Takes secrets and classified values out of recorded traffic, and keeps its form.

A secret becomes [secret]: the connection's own values in their usual spellings, whatever stands under a name that is
known for secrets, and tokens that an answer handed out, wherever they come again. A classified value becomes one of the
same form, letters x and digits 1, so that dates stay dates and what reads the recording still can. Scrubbing twice
changes nothing: a request made of scrubbed values matches the recorded one.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote_plus

SECRET: Final = "[secret]"  # noqa: S105 - what stands in a secret's place
SECRET_LENGTH_MIN: Final = 6
ROWS: Final = "$rows"
"""Key of a record batch's rows in a recording; see `values.py`."""
VALUE_LENGTH_MIN: Final = 4
"""Shorter classified values are replaced under their names only: elsewhere they would be ordinary words."""
NAMES: Final = (
    "access_token|refresh_token|id_token|token|assertion|client_secret|client_assertion|secret|password|passwd|pwd"
    "|api_?key|apikey|x-api-key|session_?id|sid|signature|authorization|code_verifier|private_key|account_key"
)
HEADERS_KEPT: Final = frozenset(
    ("content-type", "date", "retry-after", "location", "etag", "link", "last-modified", "sforce-limit-info")
)
"""Headers that a recording holds; every other one is left out, whatever is in it."""
_NAMED_JSON: Final = re.compile(rf'("(?:{NAMES})"\s*:\s*)"((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_NAMED_FORM: Final = re.compile(rf"((?:^|[?&])(?:{NAMES})=)([^&\s#]+)", re.IGNORECASE)
_NAMED_XML: Final = re.compile(rf"(<(?:[\w.-]+:)?(?:{NAMES})(?:\s[^>]*)?>)([^<]+)(</)", re.IGNORECASE)
_BEARER: Final = re.compile(r"((?:Bearer|Basic)\s+)([A-Za-z0-9._~+/=-]{6,})")


def stand_in(value: str) -> str:
    """A text of the same form: letters become x, digits 1."""
    return "".join(
        "1" if char.isdigit() else ("X" if char.isupper() else "x") if char.isalpha() else char for char in value
    )


class Scrubber:
    """One recording's.

    secrets: values that are known. classified: names of fields or patterns with * and ?, any path before the last dot.

    `learn` everything first, then `text` what is written: what an answer discloses late may stand in a request early.
    """

    def __init__(self, secrets: Iterable[str], classified: Iterable[str], derived: Iterable[str] = ()) -> None:
        """derived: fields that are made of classified ones, by a mask too: a stand-in makes other ones of them."""
        self._derived = frozenset(derived)
        self._secrets: set[str] = set()
        for value in secrets:
            self._known(value)
            for line in value.splitlines():
                self._known(line.strip())
        self._names = {name.rpartition(".")[2].lower() for name in classified}
        self._values: set[str] = set()
        alternatives = "|".join(sorted(map(_expression, self._names), key=len, reverse=True))
        self._name = re.compile(alternatives)
        self._json = re.compile(rf'("(?:{alternatives})"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)', re.IGNORECASE)
        self._form = re.compile(rf"((?:^|[?&])(?:{alternatives})=)([^&\s#]*)", re.IGNORECASE)
        self._xml = re.compile(rf"(<(?:[\w.-]+:)?(?:{alternatives})(?:\s[^>]*)?>)([^<]+)(</)", re.IGNORECASE)

    @property
    def secret_forms(self) -> frozenset[str]:
        """Every spelling of every secret that is known by now."""
        return frozenset(self._secrets)

    def is_classified(self, name: str) -> bool:
        return bool(self._names) and self._name.fullmatch(name.rpartition(".")[2].lower()) is not None

    def _known(self, secret: str) -> None:
        if len(secret) >= SECRET_LENGTH_MIN and secret != SECRET:
            encoded = base64.b64encode(secret.encode()).decode()
            escaped = json.dumps(secret)[1:-1]
            self._secrets |= {secret, quote(secret, safe=""), quote_plus(secret), encoded, encoded.rstrip("="), escaped}

    def learn(self, text: str) -> None:
        """Remember the tokens and the classified values of this text."""
        for found in (*_NAMED_JSON.finditer(text), *_NAMED_XML.finditer(text)):
            self._known(found[2])
        for found in _NAMED_FORM.finditer(text):
            self._known(unquote_plus(found[2]))
        for found in _BEARER.finditer(text):
            self._known(found[2])
        if not self._names:
            return
        for found in self._json.finditer(text):
            self.learn_value(json.loads(found[2]) if found[2].startswith('"') else found[2])
        for found in (*self._form.finditer(text), *self._xml.finditer(text)):
            self.learn_value(unquote_plus(found[2]))
        for value in self._nested(text):
            self.learn_value(value)
        for _, value in self._csv_cells(text):
            self.learn_value(value)

    def learn_value(self, value: Any) -> None:
        """Remember one classified value."""
        if isinstance(value, str) and len(value.strip()) >= VALUE_LENGTH_MIN and stand_in(value) != value:
            self._values.add(value)

    def text(self, text: str) -> str:
        """The text without secrets and classified values."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, SECRET)
        text = _NAMED_JSON.sub(lambda found: f'{found[1]}"{SECRET}"', text)
        text = _NAMED_FORM.sub(lambda found: f"{found[1]}{SECRET}", text)
        text = _NAMED_XML.sub(lambda found: f"{found[1]}{SECRET}{found[3]}", text)
        text = _BEARER.sub(lambda found: f"{found[1]}{SECRET}", text)
        return self._classified(text) if self._names else text

    def _classified(self, text: str) -> str:
        text = self._json.sub(lambda found: found[1] + stand_in(found[2]), text)
        text = self._form.sub(lambda found: found[1] + stand_in(found[2]), text)
        text = self._xml.sub(lambda found: found[1] + stand_in(found[2]) + found[3], text)
        for value in sorted(self._values, key=len, reverse=True):
            for spelled in dict.fromkeys((value, json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value))):
                text = text.replace(spelled, _spelled(value, spelled))
        return text

    def _nested(self, text: str) -> Iterator[str]:
        """The leaves below a classified name of JSON, where it is an object or a list."""
        if not text.lstrip().startswith(("{", "[")):
            return
        try:
            yield from self._leaves(json.loads(text), below=False)
        except (ValueError, RecursionError):
            return

    def _leaves(self, value: Any, *, below: bool) -> Iterator[str]:
        if isinstance(value, dict):
            for name, item in value.items():
                yield from self._leaves(item, below=below or self.is_classified(name))
        elif isinstance(value, list):
            for item in value:
                yield from self._leaves(item, below=below)
        elif below and isinstance(value, str):
            yield value

    def _csv_cells(self, text: str) -> Iterator[tuple[str, str]]:
        """Cells of classified columns, where the text is CSV with such a header."""
        head = text.partition("\n")[0]
        names = [name.strip().strip('"') for name in head.split(",")]
        if len(names) < 2 or not any(map(self.is_classified, names)):
            return
        for row in csv.DictReader(io.StringIO(text)):
            for name, value in row.items():
                if isinstance(name, str) and isinstance(value, str) and self.is_classified(name):
                    yield name, value

    def values(self, value: Any) -> Any:
        """JSON values, every text scrubbed; the rows of a batch by their columns' names too."""
        if isinstance(value, Mapping):
            if ROWS in value:
                return {**value, ROWS: [self._row(row) for row in value[ROWS]]}
            return {key: self.values(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.values(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _of_its_form(v) if self.is_classified(name) else self.values(v) for name, v in row.items()}

    def key(self, value: Any) -> Any:
        """As `values`, and equal for what a recorded and a replayed document may differ in."""
        if isinstance(value, Mapping):
            if ROWS in value:
                rows = [{**row, **{name: None for name in row if name in self._derived}} for row in value[ROWS]]
                return self.values({**value, ROWS: rows})
            return {name: self.key(item) for name, item in value.items()}
        return [self.key(item) for item in value] if isinstance(value, list) else self.values(value)

    def learn_values(self, value: Any) -> None:
        """Everything that `learn` finds in JSON values, and the classified columns of batches."""
        if isinstance(value, Mapping):
            for row in value.get(ROWS, ()):
                for name, item in row.items():
                    if self.is_classified(name):
                        self.learn_value(item)
            for item in value.values():
                self.learn_values(item)
        elif isinstance(value, list):
            for item in value:
                self.learn_values(item)
        elif isinstance(value, str):
            self.learn(value)


def _expression(name: str) -> str:
    """A name's, or a pattern's, regular expression."""
    return re.escape(name).replace(r"\*", r"[\w.-]*").replace(r"\?", r"[\w.-]")


def _of_its_form(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return None if value is None else False
    if isinstance(value, int | float):
        return type(value)(stand_in(str(value)))
    return stand_in(value) if isinstance(value, str) else None


def _spelled(value: str, spelled: str) -> str:
    """The stand-in of a value, spelled as the value was: %2B stays what it is, and so does \\n."""
    if spelled == value:
        return stand_in(value)
    plain = stand_in(value)
    if spelled == json.dumps(value)[1:-1]:
        return json.dumps(plain)[1:-1]
    return quote(plain, safe="") if spelled == quote(value, safe="") else quote_plus(plain)
