"""Generate the stubs of our .proto files, or check that the committed ones are fresh.

python proto/stubs.py            write them
python proto/stubs.py --check    exit 1 and name what differs
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Room:
    """Sources of one package: they lie in root/package, their stubs beside them. kinds: what protoc writes."""

    root: Path
    package: str
    kinds: tuple[str, ...]

    @property
    def sources(self) -> list[Path]:
        return sorted((self.root / self.package).glob("*.proto"))

    def stubs(self, root: Path) -> dict[str, bytes]:
        """The stubs below a root, by name."""
        return {path.name: path.read_bytes() for path in (root / self.package).glob("*_pb2*")}


ROOMS = (
    Room(HERE, "dative/v1", ("python", "pyi", "grpc_python")),
    # Messages alone: etcd's services are called by path.
    Room(HERE.parent / "atom", "dative_atom/molecule/wire", ("python", "pyi")),
)


def generate(room: Room, into: Path) -> None:
    """Write the room's stubs below `into`."""
    outputs = [f"--{kind}_out={into}" for kind in room.kinds]
    includes = [f"-I{room.root}", f"-I{files('grpc_tools') / '_proto'}"]
    if protoc.main(["protoc", *includes, *outputs, *map(str, room.sources)]) != 0:
        sys.exit("protoc refused the sources above")


def stale(room: Room, fresh: Path) -> list[str]:
    """Names of committed stubs that differ from fresh ones, are missing or too many."""
    committed, wanted = room.stubs(room.root), room.stubs(fresh)
    return sorted(name for name in committed | wanted if committed.get(name) != wanted.get(name))


def main() -> None:
    if "--check" not in sys.argv[1:]:
        for room in ROOMS:
            generate(room, room.root)
        return
    names: list[str] = []
    for room in ROOMS:
        with tempfile.TemporaryDirectory() as directory:
            generate(room, Path(directory))
            names += stale(room, Path(directory))
    if names:
        sys.exit(f"stale stubs (grpcio-tools {version('grpcio-tools')}): {', '.join(names)}; run: make stubs")


if __name__ == "__main__":
    main()
