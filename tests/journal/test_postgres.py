"""What only PostgreSQL does to a journal: sessions that are lost, answers that never come, texts and names that do not fit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from dative.clock import ManualClock
from dative.errors import DativeError
from dative_atom.journal.address import Address, folder_of, parsed
from dative_atom.journal.contract import Counts, Execution, LinkRows, Receipts, Settlement
from dative_atom.journal.open import open_journal
from dative_atom.journal.postgres import PostgresJournal
from dative_atom.journal.postgres_session import numbered, read, stored

from tests.journal.places import Place

pytestmark = pytest.mark.parametrize("place", ["postgres"], indirect=True)


def settlement(execution: Execution, batch: int = 0) -> Settlement:
    return Settlement(
        execution.execution_id,
        execution.stream,
        batch,
        b"%d" % batch,
        batch + 1,
        Counts(read=1, written=1),
        receipts=[Receipts("upsert", 0, 1, b"r")],  # type: ignore[arg-type]
        receipts_keep_s=60.0,
        events=[b"e%d" % batch],
    )


def told(journal: PostgresJournal) -> list[bytes]:
    return [record.body for record in journal.outbox(0)]


@pytest.mark.parametrize("boundary", ["journal.begun", "journal.committing"])
def test_a_session_that_is_lost_before_its_commit_changes_nothing_and_the_method_is_done_again(
    place: Place, execution: Execution, boundary: str
) -> None:
    seen: list[str] = []

    def reached(where: str) -> None:
        seen.append(where)
        if seen.count(boundary) == 1 and where == boundary and armed:
            with place.raw() as db:
                db.execute("SELECT pg_terminate_backend(%s, 5000)", (victim.session().connection.info.backend_pid,))

    armed: list[bool] = []
    victim = place.open(reached=reached)
    assert isinstance(victim, PostgresJournal)
    seen.clear()
    armed.append(True)
    assert victim.settle(settlement(execution)).batches == 1
    assert seen.count("journal.begun") == 2
    assert (victim.position(execution.stream), told(victim)) == (b"0", [b"e0"])


class Between:
    """A socket between a journal and PostgreSQL that can lose a COMMIT, or the answer to it, and then is as before.

    lose: "request" or "answer" of the next COMMIT, or part of any statement, which is lost with all that would follow.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.lose = ""
        self.commits = 0
        self._server = server
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        self._sockets: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._sockets += [client, server]
            self._pair(client, server)

    def _pair(self, client: socket.socket, server: socket.socket) -> None:
        silent = threading.Event()
        for pump in (self._ask, self._answer):
            self._threads.append(threading.Thread(target=pump, args=(client, server, silent), daemon=True))
            self._threads[-1].start()

    def _ask(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.lose and self.lose.encode() in data:
                    self.lose = ""
                    client.shutdown(socket.SHUT_RDWR)
                    return
                if b"; COMMIT" in data:
                    self.commits += 1
                    lose, self.lose = self.lose, ""
                    if lose == "request":
                        # The server is not told: as when a cable is cut, it would learn of it late.
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    if lose == "answer":
                        silent.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(1 << 16)) and not silent.is_set():
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.fixture
def between(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Between, str]]:
    """The proxy, and the address of the journal through it."""
    assert place.server is not None
    folder = tmp_path_factory.mktemp("p")
    server = Path(place.server.partition("host=")[2]) / ".s.PGSQL.5432"
    proxy = Between(folder, server)
    yield proxy, place.address.replace(str(server.parent), str(folder))
    proxy.close()


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_commit_whose_answer_was_lost_is_read_back_and_done_once(
    place: Place, execution: Execution, clock: ManualClock, between: tuple[Between, str], lost: str
) -> None:
    proxy, address = between
    journal = open_journal(address, clock, key=place.key)
    assert isinstance(journal, PostgresJournal)
    place.opened.append(journal)
    before = proxy.commits
    for batch in range(3):
        proxy.lose = lost
        assert journal.settle(settlement(execution, batch)).batches == batch + 1
        assert proxy.lose == ""
    journal.report("event", b"last")
    assert told(journal) == [b"e0", b"e1", b"e2", b"last"]
    assert journal.sequence_take("no", 1, 1, 1) == 1
    proxy.lose = lost
    assert journal.sequence_take("no", 1, 1, 1) == 2, "neither skipped nor given twice"
    expected = 6 + 4 * (lost == "request")
    assert proxy.commits - before == expected, "what holds is not sent again"


def test_what_a_lost_session_held_does_not_keep_the_next_one_waiting(
    place: Place, execution: Execution, clock: ManualClock, between: tuple[Between, str]
) -> None:
    proxy, address = between
    journal = open_journal(address, clock, key=place.key)
    place.opened.append(journal)
    # The server has the row held for a session whose other end is gone, and is not told.
    proxy.lose = "INSERT INTO receipt"
    assert journal.settle(settlement(execution)).batches == 1
    assert proxy.lose == ""
    assert [record.body for record in journal.outbox(0)] == [b"e0"]


def test_two_that_wait_for_each_other_both_come_through(place: Place) -> None:
    one, other = place.open(), place.open()
    assert isinstance(one, PostgresJournal)
    assert isinstance(other, PostgresJournal)
    met = threading.Barrier(2, timeout=10)

    def both(journal: PostgresJournal, *names: str) -> Callable[[], str]:
        tries: list[int] = []

        def method() -> str:
            tries.append(1)
            with journal.transaction() as db:
                journal.held_name(db, names[0])
                if len(tries) == 1:
                    met.wait()
                journal.held_name(db, names[1])
                journal.reported(db, "event", names[0].encode())
            return names[0]

        return method

    with_other = threading.Thread(target=lambda: other.repeated(both(other, "b", "a")))
    with_other.start()
    one.repeated(both(one, "a", "b"))
    with_other.join()
    assert sorted(told(one)) == [b"a", b"b"]


def test_members_that_start_together_on_an_empty_database_make_it_once(place: Place) -> None:
    errors: list[BaseException] = []

    def start(number: int) -> None:
        try:
            place.open(owner=f"hq-{number}").report("event", b"x")
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with place.raw() as db:
        assert db.execute("SELECT count(*), min(last), max(last) FROM spool").fetchone() == (6, 1, 1)


def test_a_newer_journal_is_refused(place: Place) -> None:
    place.open()
    with place.raw() as db:
        db.execute("UPDATE journal_version SET version = 99")
    with pytest.raises(DativeError) as refused:
        place.open()
    assert refused.value.code.name == "journal.unreadable"


def test_a_server_that_is_away_is_waited_for_as_long_as_the_bound_says(place: Place, clock: ManualClock) -> None:
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        clock.advance(seconds)

    address = parsed(f"postgresql://postgres@/postgres?host={place.folder}")
    assert isinstance(address, Address)
    with pytest.raises(DativeError) as away:
        PostgresJournal(address, clock, key=b"k" * 32, pause=pause)
    assert away.value.code.name == "journal.unavailable"
    assert 5 < sum(waited) <= 20
    assert "postgres@" not in away.value.message


def test_a_database_that_is_not_there_is_said_at_once(place: Place, clock: ManualClock) -> None:
    with pytest.raises(DativeError) as refused:
        open_journal(place.address.replace("/postgres?", "/nowhere?"), clock, key=place.key)
    assert refused.value.code.name == "journal.refused"


@pytest.mark.parametrize("text", ["a\0b", "\ufdd0", "\ufdd00", "\ufdd01\0", "'", '"', "?", "%s", "\\", "ü€😀", ""])
def test_a_text_of_any_character_comes_back(place: Place, execution: Execution, text: str) -> None:
    journal = place.open()
    assert read(stored(text)) == text
    assert "\0" not in stored(text)
    journal.xref_load(LinkRows("x", {"a": [text, "other"], "b": ["1", "2"]}))
    assert journal.xref_lookup("x", ("a",), "b", [text, "third"]) == {text: "1"}
    assert journal.xref_lookup("x", ("b",), "a", ["1"]) == {"1": text}
    assert journal.sequence_given("no", [text], 1, 1) == journal.sequence_given("no", [text], 1, 1)


def test_names_longer_than_postgresqls_are_names_all_the_same(place: Place) -> None:
    journal = place.open()
    table, column = "t" * 200, "c" * 200
    for last in "12":
        journal.xref_load(
            LinkRows(table + last, {column + "1": [last], column + "2": ["x" + last], "q?\0": ["y"]}, None)
        )
    for last in "12":
        assert journal.xref_lookup(table + last, (column + "1",), column + "2", ["1", "2"]) == {last: "x" + last}
    assert [summary.name for summary in journal.xref_tables()] == [table + "1", table + "2"]
    assert list(journal.xref_tables()[0].columns) == [column + "1", column + "2", "q?\0"]


def test_a_key_that_no_index_takes_is_refused_with_its_code(place: Place) -> None:
    import random

    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    with pytest.raises(DativeError) as refused:
        place.open().xref_load(LinkRows("x", {"a": [long]}))
    assert refused.value.code.name == "journal.key_too_long"


def test_marks_are_numbered_outside_of_quotes_only(place: Place) -> None:
    assert place.server is not None
    assert numbered("""SELECT ?, '?''?', "a?""?", ? FROM x""") == b"""SELECT $1, '?''?', "a?""?", $2 FROM x"""


ADDRESSES: list[tuple[str, Path | Address | None]] = [
    ("/var/lib/dative/journal.db", Path("/var/lib/dative/journal.db")),
    ("sqlite:///var/lib/my%20journal.db", Path("/var/lib/my journal.db")),
    ("postgresql://u@h/d", Address("postgresql://u@h/d")),
    ("postgres://u@h:1,g:2/d?sslmode=verify-full", Address("postgresql://u@h:1,g:2/d?sslmode=verify-full")),
    ("postgresql://u@h/d?schema=sales_eu", Address("postgresql://u@h/d", "sales_eu")),
    ("postgresql://u:secret@h/d", None),
    ("postgresql://u@h/d?password=secret", None),
    ("postgresql://u@h/d?schema=x;drop", None),
    ("mysql://u@h/d", None),
]


@pytest.mark.parametrize(("address", "expected"), ADDRESSES)
def test_an_address_is_a_path_or_a_database_without_a_password(
    place: Place, address: str, expected: Path | Address | None
) -> None:
    assert place.server is not None
    if expected is not None:
        assert parsed(address) == expected
        folder = folder_of(address, "/data/journal.key")
        assert folder == (expected.parent if isinstance(expected, Path) else Path("/data"))
        return
    with pytest.raises(DativeError) as refused:
        parsed(address)
    assert refused.value.code.name == "journal.address_invalid"
    assert "secret" not in refused.value.message
