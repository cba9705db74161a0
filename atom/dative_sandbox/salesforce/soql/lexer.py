"""Cuts a SOQL text into tokens, and draws the vendor's error with its caret."""

import re
from dataclasses import dataclass

from dative_sandbox.salesforce.errors import ApiError

QUERY_CHARS_MAX = 100_000

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
      | (?P<date>\d{4}-\d\d-\d\d(?![T\d]))
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<op><=|>=|!=|<>|[=<>(),:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "_": "_", "%": "%"}


@dataclass(frozen=True)
class Token:
    """kind: string, datetime, date, number, name, op or end. at: its offset in the query."""

    kind: str
    text: str
    at: int

    @property
    def upper(self) -> str:
        return self.text.upper()


def query_error(query: str, at: int, message: str, code: str = "MALFORMED_QUERY") -> ApiError:
    """The error as the vendor draws it: the part of the query, a caret under the place, row and column, the message."""
    row = query.count("\n", 0, at) + 1
    line_start = query.rfind("\n", 0, at) + 1
    line_end = query.find("\n", at)
    line = query[line_start : line_end if line_end >= 0 else len(query)]
    column = at - line_start
    shown_from = max(0, column - 40)
    shown = line[shown_from : column + 40]
    drawing = f"\n{shown}\n{' ' * (column - shown_from)}^\nERROR at Row:{row}:Column:{column + 1}\n"
    return ApiError(400, code, drawing + message)


def unexpected(query: str, token: Token) -> ApiError:
    return query_error(query, token.at, f"unexpected token: '{token.text or '<EOF>'}'")


def tokenize(query: str) -> list[Token]:
    """Every token, ending with one of kind `end`. ApiError 400 MALFORMED_QUERY for what is no token."""
    if len(query) > QUERY_CHARS_MAX:
        raise ApiError(400, "QUERY_TOO_COMPLICATED", f"SOQL statement is too long: {len(query)} of {QUERY_CHARS_MAX}")
    tokens: list[Token] = []
    at = 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise query_error(query, at, f"unexpected token: '{query[at]}'")
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, match.group(), at))
        at = match.end()
    tokens.append(Token("end", "", len(query)))
    return tokens


def unescape(query: str, token: Token) -> str:
    """The value of a string token."""
    return "".join(char for char, _ in characters(query, token))


def like_pattern(query: str, token: Token) -> re.Pattern[str]:
    """The string token as a LIKE pattern: % any run, _ one character, both literal after a backslash. Case is ignored."""
    pieces = []
    for char, escaped in characters(query, token):
        pieces.append(".*" if char == "%" and not escaped else "." if char == "_" and not escaped else re.escape(char))
    return re.compile("".join(pieces), re.IGNORECASE | re.DOTALL)


def characters(query: str, token: Token) -> list[tuple[str, bool]]:
    """The characters of a string token, each with whether it was written with a backslash."""
    body, found, index = token.text[1:-1], [], 0
    while index < len(body):
        if body[index] != "\\":
            found.append((body[index], False))
            index += 1
            continue
        letter = body[index + 1]
        if letter not in _ESCAPES:
            raise query_error(query, token.at + 1 + index, f"Illegal character sequence '\\{letter}' in string literal")
        found.append((_ESCAPES[letter], True))
        index += 2
    return found
