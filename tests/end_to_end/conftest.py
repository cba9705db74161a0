"""A whole house of real processes: told the demo's story up to a deployed process, or with patients in its database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from demo.house import House
from demo.story import Story


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Everything is up; nothing is deployed yet. A small directory name: a socket's path has 107 bytes at most."""
    house = House(tmp_path / "h", accounts=10_000)
    try:
        told = Story(house)
        told.build()
        yield told
    finally:
        house.close()


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Somebody's OTLP endpoint over HTTP: its address, and the bodies that were sent to it."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clinic(tmp_path: Path, collector: tuple[str, list[bytes]]) -> Iterator[House]:
    """A house without Salesforce, everything logged at debug, its spans exported."""
    house = House(tmp_path / "c")
    try:
        house.start_erp()
        flags = ["--log-level", "debug", "--otel-endpoint", collector[0], "--otel-protocol", "http"]
        house.start_controller(flags=flags)
        house.move_in(atom_flags=["--log-level", "debug"])
        yield house
    finally:
        house.close()
