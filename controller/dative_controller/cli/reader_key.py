"""The key that atoms seal protected values to: this person's, kept on this machine by `dative vault enrol`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dative_controller.cli.app import App

if TYPE_CHECKING:
    from dative.secrets import SealKey

READER_KEY: Final = "vault.key"
"""Its name in the key ring."""


def reader_key(app: App) -> SealKey:
    """Errors: vault.no_reader_key."""
    from dative.errors.cli import CliError
    from dative.errors.masks import NO_READER_KEY

    found = existing(app)
    if found is None:
        raise CliError(f"context {app.context.name} has no reader's key on this machine", code=NO_READER_KEY)
    return found


def key_for(app: App, *, reveal: bool) -> SealKey:
    """To show a document with: this person's own to reveal, since a bundle may admit no other; else one for this call."""
    from dative.secrets import SealKey

    return (existing(app) if reveal else None) or SealKey.generate()


def existing(app: App) -> SealKey | None:
    from dative.secrets import SealKey

    data = app.keys.ring.get(READER_KEY)
    return SealKey.from_bytes(data) if data is not None else None
