"""Which connectors there are: one line each. A connector's code and its system's library load when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from dative.errors.base import ConfigError

from dative_atom.connectors.base import Connector
from dative_atom.connectors.spec import ConnectorSpec

CONNECTORS: dict[str, str] = {
    "database": "DatabaseConnector",
    "disk": "DiskConnector",
    "salesforce": "SalesforceConnector",
}
"""Name of the connector, which is its folder, and the class in its `connector.py`."""


def connector_class(name: str) -> type[Connector]:
    """The class of that connector; ConfigError with the nearest names when there is none."""
    return cast(type[Connector], getattr(import_module(f"{__package__}.{_known(name)}.connector"), CONNECTORS[name]))


def connector_spec(name: str) -> ConnectorSpec:
    """The spec of that connector, without loading any system's library."""
    return cast(ConnectorSpec, import_module(f"{__package__}.{_known(name)}.spec").SPEC)


def _known(name: str) -> str:
    if name not in CONNECTORS:
        raise ConfigError(f"connector {name!r} is unknown; there are {', '.join(CONNECTORS)}", where=name)
    return name
