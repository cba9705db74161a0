"""Codes of the atom's agent: joining, the link to the controller, bundles on its disk, workers, schedules, commands."""

from __future__ import annotations

from dative.errors.base import Code

PIN_MISMATCH = Code(
    "agent.ca_pin_mismatch",
    "PERMISSION_DENIED",
    "The TLS connection does not end at the controller that the CA pin names; the join token was not sent.",
    "If a proxy inspects TLS, ask the network team to bypass inspection for this host; else compare the pin: dative atom invite",
)
PIN_MALFORMED = Code(
    "agent.ca_pin_malformed",
    "INVALID_ARGUMENT",
    "A CA pin is sha256: and 64 hexadecimal digits.",
    "Copy it whole from the invitation: dative atom invite",
)
UNREACHABLE = Code(
    "agent.controller_unreachable",
    "UNAVAILABLE",
    "No connection to the controller could be made from this host.",
    "See which step fails: dative-atom doctor --controller HOST:PORT",
)
NOT_TLS = Code(
    "agent.not_tls",
    "UNAVAILABLE",
    "The port answers, but the TLS handshake fails: another service, or something in between that breaks TLS.",
    "Check the port of the controller, then ask the network team what stands in between.",
)
PROXY_REFUSED = Code(
    "agent.proxy_refused",
    "UNAVAILABLE",
    "The HTTP proxy did not open a tunnel to the controller.",
    "Ask the network team to allow CONNECT to that host and port; the message holds the proxy's answer.",
)
PROXY_INVALID = Code(
    "agent.proxy_invalid",
    "INVALID_ARGUMENT",
    "A proxy is written as http://[user:password@]host:port.",
    "Correct --proxy, https_proxy or grpc_proxy.",
)
CLOCK_WRONG = Code(
    "agent.clock_wrong",
    "FAILED_PRECONDITION",
    "This host's clock is outside the time in which the other side's certificate is valid.",
    "Set the clock (chronyc tracking, timedatectl), then try again.",
)
NOT_JOINED = Code(
    "agent.not_joined",
    "FAILED_PRECONDITION",
    "The data directory holds no identity: this atom has not joined a controller yet.",
    "Join first: dative-atom join --controller HOST:PORT --ca-pin PIN --token-file FILE",
)
JOINED_ELSEWHERE = Code(
    "agent.joined_elsewhere",
    "ALREADY_EXISTS",
    "The data directory belongs to an atom of another controller.",
    "Use another --data-dir, or leave the former controller first: dative-atom leave",
)
PENDING = Code(
    "agent.approval_pending",
    "DEADLINE_EXCEEDED",
    "An admin has not approved this atom yet; its keys are kept.",
    "Have it approved (dative atom approve NAME), then run the same join command again.",
)
ENROLMENT_INVALID = Code(
    "agent.enrolment_invalid",
    "DATA_LOSS",
    "The controller's answer to the join does not fit what was asked: another key, CA or identity.",
    "Join again with a fresh invitation; if it stays, report it with the controller's version.",
)
IDENTITY_DAMAGED = Code(
    "agent.identity_damaged",
    "DATA_LOSS",
    "A file of the atom's identity is missing or is not what this program wrote.",
    "Restore the data directory from its backup, or join again into an empty one.",
)
CERTIFICATE_EXPIRED = Code(
    "agent.certificate_expired",
    "UNAUTHENTICATED",
    "The atom's certificate expired while it was away; schedules and executions go on, the link stays down.",
    "Enrol it again: dative-atom leave --keep-journal, then dative-atom join with a fresh invitation.",
)
CERTIFICATE_FUTURE = Code(
    "agent.certificate_not_yet_valid",
    "UNAUTHENTICATED",
    "The atom's certificate is not valid yet, seen from this host's clock.",
    "Set the clock (chronyc tracking, timedatectl); the atom connects by itself then.",
)
DATA_DIR_BUSY = Code(
    "agent.data_dir_busy",
    "FAILED_PRECONDITION",
    "Another agent works in this data directory; two at once would run everything twice.",
    "Stop it (the message names its process id), or use another --data-dir.",
)
WORKERS_LEFT = Code(
    "agent.workers_left",
    "FAILED_PRECONDITION",
    "Worker processes of a former agent still run and do not end.",
    "End the processes that the message names, then start again.",
)
DATA_DIR_RIGHTS = Code(
    "agent.data_dir_rights",
    "FAILED_PRECONDITION",
    "The data directory can not be used, or others could read the keys in it.",
    "Give it to the user that runs the atom, mode 0700.",
)
NOT_RUNNING = Code(
    "agent.not_running",
    "FAILED_PRECONDITION",
    "No agent runs in this data directory.",
    "Start it: dative-atom run",
)
STILL_RUNNING = Code(
    "agent.still_running",
    "FAILED_PRECONDITION",
    "The agent still runs in this data directory.",
    "Stop it first: dative-atom drain, then end the service.",
)
RECORDS_LEFT = Code(
    "agent.records_left",
    "FAILED_PRECONDITION",
    "Records or executions wait that the controller does not have yet; leaving now would lose sight of them.",
    "Let it run until its spool is empty (dative-atom status), or add --force.",
)
TASK_FAILED = Code(
    "agent.task_failed",
    "INTERNAL",
    "A part of the agent ended unexpectedly; the agent stopped rather than limp, and starts again where it stood.",
    "The service manager restarts it; report the log lines above if it repeats.",
)
LINK_SILENT = Code(
    "agent.link_silent",
    "DEADLINE_EXCEEDED",
    "The controller left a heartbeat unanswered; the connection is given up and made anew.",
    "Check the network in between if it repeats: dative-atom doctor",
)
LINK_PROTOCOL = Code(
    "agent.link_protocol",
    "FAILED_PRECONDITION",
    "The controller does not speak as this version of the atom expects.",
    "Bring both sides to versions at most two releases apart.",
)
FETCH_STALLED = Code(
    "agent.fetch_stalled",
    "UNAVAILABLE",
    "A blob's bytes stopped coming; what came is kept and the fetch goes on from there.",
    "It is tried again by itself; check the network if it stays.",
)
DISK_FULL = Code(
    "agent.disk_full",
    "RESOURCE_EXHAUSTED",
    "The bundle does not fit on this atom's disk; the last good one keeps running.",
    "Free space on the volume of the data directory; the bundle is tried again at the next connection.",
)
NOTHING_DEPLOYED = Code(
    "agent.nothing_deployed",
    "FAILED_PRECONDITION",
    "This atom has no verified bundle yet.",
    "Deploy to its environment: dative deploy",
)
PROCESS_UNKNOWN = Code(
    "agent.process_unknown",
    "NOT_FOUND",
    "The verified bundle of this atom holds no process of that name.",
    "List what is deployed: dative deployment list",
)
PROCESS_INVALID = Code(
    "agent.process_invalid",
    "INVALID_ARGUMENT",
    "A process of the bundle can not be read or scheduled on this atom.",
    "Validate it and deploy again: dative process validate",
)
CONNECTION_MISSING = Code(
    "agent.connection_missing",
    "FAILED_PRECONDITION",
    "A process names a connection that its environment does not bind.",
    "Set it and deploy again: dative env set ENV NAME.connector=CONNECTOR",
)
CONNECTOR_MISMATCH = Code(
    "agent.connector_mismatch",
    "FAILED_PRECONDITION",
    "The environment binds a connection to another kind of system than the process was written for.",
    "Bind a connection of that connector, or change the process.",
)
DRAINING = Code(
    "agent.draining",
    "FAILED_PRECONDITION",
    "The atom takes no new work: it is draining.",
    "Let it take work again: dative-atom resume, or dative atom resume NAME",
)
QUEUE_FULL = Code(
    "agent.queue_full",
    "RESOURCE_EXHAUSTED",
    "As many executions wait on this atom as may.",
    "Wait until some have ended; give the atom more slots if it stays.",
)
WORKER_CRASHED = Code(
    "agent.worker_crashed",
    "INTERNAL",
    "The worker process ended in the middle of the execution more often than is tried.",
    "Nothing settled is lost. Look at the atom's log for the reason, then run the process again.",
)
WORKER_KILLED = Code(
    "agent.worker_killed",
    "RESOURCE_EXHAUSTED",
    "The worker process was killed in the middle of the execution more often than is tried, as when memory runs out.",
    "Nothing settled is lost. Lower the process' batch_rows or give the host more memory, then run it again.",
)
WORKER_START = Code(
    "agent.worker_start_failed",
    "INTERNAL",
    "A worker process did not come up.",
    "Look at the atom's log; reinstall it if a module is missing.",
)
EXECUTION_STUCK = Code(
    "agent.execution_stuck",
    "DEADLINE_EXCEEDED",
    "The execution settled no batch within its bound; its worker was ended and another attempt made.",
    "Look at the systems it talks to; raise execution_stall_s if a batch may take that long.",
)
EXECUTION_UNKNOWN = Code(
    "agent.execution_unknown",
    "NOT_FOUND",
    "No unfinished execution of that id is on this atom.",
    "List what runs: dative execution list",
)
SEARCHES_TOO_MANY = Code(
    "agent.too_many_searches",
    "RESOURCE_EXHAUSTED",
    "The atom hashes so many searched values a minute and no more, so that nobody can try out values with it.",
    "Wait a minute; look into the audit log if it was not you: dative audit list.",
)
COMMAND_EXPIRED = Code(
    "agent.command_expired",
    "DEADLINE_EXCEEDED",
    "The command arrived after its time; it was not carried out.",
    "Give it again; check the clocks of both sides if it repeats.",
)
COMMAND_UNKNOWN = Code(
    "agent.command_unknown",
    "INVALID_ARGUMENT",
    "This version of the atom does not know that command.",
    "Upgrade the atom.",
)
COMMAND_INTERRUPTED = Code(
    "agent.command_interrupted",
    "ABORTED",
    "The agent was stopped while it carried the command out; whether it took effect is not known.",
    "Look at the state before you repeat it.",
)
SCHEDULE_MISSED = Code(
    "schedule.missed",
    "FAILED_PRECONDITION",
    "Planned times passed while this atom was down or draining.",
    "With `missed: run-once` one execution makes up for them; run the process by hand where it says skip.",
)
SCHEDULE_SKIPPED = Code(
    "schedule.skipped",
    "FAILED_PRECONDITION",
    "A planned time came while an earlier execution of the process was not over.",
    "Plan it less often, make it faster, or say `overlap: queue`.",
)
