"""Codes of molecules as administrators keep them: their settings, what an atom's host gives, quarantine, rollouts."""

from __future__ import annotations

from dative.errors.base import Code

SETTINGS_INVALID = Code(
    "molecule.settings_invalid",
    "INVALID_ARGUMENT",
    "The settings of a molecule do not fit together; nothing was changed.",
    "Correct what the message names: dative molecule set NAME --env ENV …",
)
SETTINGS_SECRET = Code(
    "molecule.settings_hold_secret",
    "INVALID_ARGUMENT",
    "A molecule's settings are stored and shown in the clear, and these hold a password or a key.",
    "Leave it out here and give it on each atom's host: dative-atom join … --etcd-password-file, --journal-password-file, "
    "--etcd-cert and --etcd-key",
)
NOT_EMPTY = Code(
    "molecule.not_empty",
    "FAILED_PRECONDITION",
    "Atoms are in this molecule: without its settings they would not find each other any more.",
    "Take them out first: dative atom revoke NAME",
)
HOST_INVALID = Code(
    "molecule.host_settings_invalid",
    "INVALID_ARGUMENT",
    "What this host adds to its molecule's settings can not be used.",
    "Give it again: dative-atom join … --etcd-password-file FILE (again on a joined atom: it changes these only).",
)
QUARANTINED = Code(
    "fleet.atom_quarantined",
    "PERMISSION_DENIED",
    "Two processes run with the identity of this atom, so that neither can be trusted with work: a disk was cloned or the "
    "identity's files were copied.",
    "dative atom revoke NAME; then on each of the hosts: dative-atom leave --force, and join with an invitation of its own.",
)
RETURN_INVALID = Code(
    "rollout.return_invalid",
    "INVALID_ARGUMENT",
    "The manifest signed for the way back is not what runs now under the generation after the new one.",
    "Deploy again, so that both are made from what runs now: dative deploy",
)
ROLLOUT_HALTED = Code(
    "rollout.halted",
    "FAILED_PRECONDITION",
    "A member did not pass its gate, so that no further one was given the new generation.",
    "Look at its reason, then go back by: dative rollback PROCESS --env ENV",
)
ROLLOUT_RETURNED = Code(
    "rollout.returned",
    "FAILED_PRECONDITION",
    "A member did not pass its gate, so that the content before was brought back to all, as signed with the deployment.",
    "Look at its reason, correct the process and deploy again.",
)
