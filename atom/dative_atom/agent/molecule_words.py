"""From what an installer types about a molecule to what is kept: paths made absolute, secrets only by reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dative_atom.agent.molecule_settings import HostSettings


def host_settings(given: Mapping[str, str]) -> HostSettings:
    """given: the options of `dative-atom join`, "" where one was left out. What is typed is checked by whoever keeps it."""
    return HostSettings(
        etcd_endpoints=tuple(part.strip() for part in given["etcd"].split(",") if part.strip()),
        journal=given["journal"],
        etcd_password=_reference(given["etcd_password_file"]),
        etcd_certificate=_reference(given["etcd_cert"]),
        etcd_key=_reference(given["etcd_key"]),
        journal_password=_reference(given["journal_password_file"]),
    )


def _reference(text: str) -> str:
    """A path as a reference that holds from any directory; what is a reference already stays one."""
    if not text or text.startswith(("env:", "file:", "sealed:")):
        return text
    return f"file:{Path(text).absolute()}"
