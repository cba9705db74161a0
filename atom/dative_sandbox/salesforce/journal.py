"""What the org was asked: one entry a request, for assertions. Secrets are not kept: no Authorization, no token bodies."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

ENTRIES_MAX, BODY_CHARS_MAX = 20_000, 4_000


@dataclass(frozen=True)
class Entry:
    """status 0: no answer was sent. fault: the kind that struck, if any. at: the org's clock."""

    method: str
    path: str
    query: str
    status: int
    fault: str | None
    at: str
    body: str
    headers: dict[str, str]


class RequestJournal:
    """The last ENTRIES_MAX requests; the oldest makes way. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)

    def entries(self, path_contains: str = "") -> list[Entry]:
        with self._lock:
            return [entry for entry in self._entries if path_contains in entry.path]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def to_json(self, path_contains: str = "") -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self.entries(path_contains)]
