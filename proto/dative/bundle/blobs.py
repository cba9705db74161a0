"""Blobs on disk by digest, and how bytes off the network become one.

No archives: flat files named by what they hold, so that no name from outside is ever a path. Knows no manifest; who may
have a blob is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from dative.errors.bundle import BAD_NAME, BLOB_MISMATCH, BLOB_MISSING, TOO_LARGE, BundleRefused

DIGEST = r"\Asha256:[0-9a-f]{64}\Z"
# 1..4 parts. A part begins with a letter or digit, so that "..", hidden files and empty parts can not be said.
NAME = r"\A(?=.{1,256}\Z)[a-z0-9][a-z0-9._-]{0,127}(/[a-z0-9][a-z0-9._-]{0,127}){0,3}\Z"
SIZE_MAX = 1 << 30
_READ_BYTES = 1 << 18
_DIGEST = re.compile(DIGEST)


def digest_of(data: bytes) -> str:
    """ "sha256:<64 hex>" of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    return _DIGEST.match(text) is not None


class BlobStore:
    """A directory of blobs, `<first 2 hex>/<64 hex>`, each written whole or not at all (Invariant 5).

    Unbounded by itself: `sweep` takes out what no manifest names any more.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._staging = directory / "staging"

    def path(self, digest: str) -> Path:
        """Where the blob is or would be. Errors: bundle.bad_name when `digest` is none."""
        if not is_digest(digest):
            raise BundleRefused(f"not a digest: {digest[:80]!r}", code=BAD_NAME)
        return self.directory / digest[7:9] / digest[7:]

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def put(self, data: bytes, expected_digest: str) -> None:
        """Store `data`. Errors: bundle.blob_mismatch when its digest is another; then nothing is stored."""
        target = self.path(expected_digest)
        if digest_of(data) != expected_digest:
            raise BundleRefused(f"the bytes for {expected_digest[:19]} have another digest", code=BLOB_MISMATCH)
        if not target.is_file():
            write_whole(target, data)

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes as a file, not verified: for sending on. Errors: bundle.blob_missing."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as gone:
            raise BundleRefused(f"blob {digest[:19]} is not here", code=BLOB_MISSING) from gone

    def read(self, digest: str, size: int) -> bytes:
        """The blob's bytes, whole, verified from the disk (Invariant 3).

        size: as signed; at most size + 1 bytes are read. Errors: bundle.blob_missing, bundle.blob_mismatch.
        """
        with self.open(digest) as file:
            data = file.read(size + 1)
        if len(data) != size or digest_of(data) != digest:
            raise BundleRefused(f"blob {digest[:19]} on this disk is not what was signed", code=BLOB_MISMATCH)
        return data

    def writer(self, digest: str, size: int) -> BlobWriter:
        """Begin to receive a blob, or go on where an earlier try stopped. One writer a digest at a time.

        Errors: bundle.bad_name, bundle.too_large.
        """
        return BlobWriter(self._staging / self.path(digest).name, self.path(digest), digest, size)

    def digests(self) -> Iterator[str]:
        """Of every blob here, in no order."""
        for file in self.directory.glob("[0-9a-f][0-9a-f]/*"):
            if is_digest("sha256:" + file.name):
                yield "sha256:" + file.name

    def remove(self, digest: str) -> None:
        """Take one blob out, as when it no longer verifies; gone already is fine."""
        self.path(digest).unlink(missing_ok=True)

    def sweep(self, keep: Collection[str]) -> int:
        """Remove every blob not in `keep`, and what is left of broken receptions. Returns how many blobs went."""
        gone = [digest for digest in self.digests() if digest not in keep]
        for digest in gone:
            self.remove(digest)
        if self._staging.is_dir():
            for part in self._staging.iterdir():
                part.unlink(missing_ok=True)
        return len(gone)


class BlobWriter:
    """Receives one blob of a signed size, resumable. `offset`: bytes that are here; ask the sender to go on there."""

    def __init__(self, part: Path, target: Path, digest: str, size: int) -> None:
        if size > SIZE_MAX:
            raise BundleRefused(f"a blob of {size} bytes, {SIZE_MAX} are allowed", code=TOO_LARGE)
        self._part, self._target, self._digest, self._size = part, target, digest, size
        part.parent.mkdir(parents=True, exist_ok=True)
        self._hash = hashlib.sha256()
        self.offset = 0
        # Tables may hold a customer's data: readable by this account only.
        self._file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b")
        self._take_up()

    def _take_up(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._size:
            self._file.truncate(0)
        self._file.seek(0)
        while data := self._file.read(_READ_BYTES):
            self._hash.update(data)
            self.offset += len(data)

    def write(self, data: bytes) -> None:
        """Add bytes. Errors: bundle.blob_mismatch at the first byte past the signed size; what came is thrown away."""
        if self.offset + len(data) > self._size:
            self._throw_away()
            raise BundleRefused(
                f"blob {self._digest[:19]} is longer than its {self._size} signed bytes", code=BLOB_MISMATCH
            )
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def finish(self) -> None:
        """Verify and put in place. Errors: bundle.blob_mismatch (too short, other digest); what came is thrown away."""
        if self.offset != self._size or "sha256:" + self._hash.hexdigest() != self._digest:
            received = self.offset
            self._throw_away()
            raise BundleRefused(
                f"blob {self._digest[:19]}: {received} of {self._size} bytes came, or others than signed",
                code=BLOB_MISMATCH,
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._part.replace(self._target)
        _sync_directory(self._target.parent)

    def close(self) -> None:
        """Stop for now; what came stays for the next try. Fine after `finish`."""
        self._file.close()

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _throw_away(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def write_whole(target: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `target` so that a crash at any byte leaves the old file or the new one (Invariant 5).

    mode: the file's; nobody else can read it at any moment, because it is made 0600 and only then given its mode.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode != 0o600:
            beside.chmod(mode)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    # Windows can not open a directory, and needs no more than the rename.
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
