"""Where a journal lies: a path, or the address of a database that several hosts share. Pure; knows no database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from dative.errors import StopRun
from dative.errors.journal import ADDRESS_INVALID

DEFAULT_SCHEMA: Final = "dative_journal"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Address:
    """A PostgreSQL journal. url: as libpq takes it, without a password. schema: where its tables lie."""

    url: str
    schema: str = DEFAULT_SCHEMA

    def __str__(self) -> str:
        """For messages: host and database, nobody's name."""
        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}, schema {self.schema}"


def parsed(address: str | Path) -> Path | Address:
    """A path, `sqlite:///path`, or `postgresql://user@host:port,host2:port/database?sslmode=…&schema=…`.

    Errors: journal.address_invalid: another scheme, a password in it (that travels as a secret), a schema of other
    characters than lower case letters, digits and "_".
    """
    if isinstance(address, Path):
        return address
    if address.startswith("sqlite:///"):
        return Path(unquote(address.removeprefix("sqlite://")))
    if "://" not in address:
        return Path(address)
    parts = urlsplit(address)
    if parts.scheme not in ("postgresql", "postgres"):
        raise StopRun(f"a journal is a path or postgresql://…, not {parts.scheme}://…", code=ADDRESS_INVALID)
    options = dict(parse_qsl(parts.query))
    if ":" in parts.netloc.rpartition("@")[0] or "password" in options:
        raise StopRun("the journal's address has a password in it", code=ADDRESS_INVALID)
    schema = options.pop("schema", DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise StopRun(f"{schema!r} is no schema of a journal: lower case letters, digits and _", code=ADDRESS_INVALID)
    return Address(urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options), "")), schema)


def folder_of(address: str | Path, key: str | Path) -> Path:
    """Where on this host a worker may put what does not fit its memory: beside the journal, or beside its key."""
    place = parsed(address)
    return (Path(key) if isinstance(place, Address) else place).parent


def shared(address: str | Path) -> bool:
    """Whether members on other hosts can open it too. Errors: journal.address_invalid."""
    return isinstance(parsed(address), Address)
