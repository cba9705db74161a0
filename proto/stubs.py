"""Generate the stubs of dative/v1 from its .proto files, or check that the committed ones are fresh.

python proto/stubs.py            write them
python proto/stubs.py --check    exit 1 and name what differs
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).parent
SOURCES = sorted((PROTO / "dative" / "v1").glob("*.proto"))


def generate(into: Path) -> None:
    """Write *_pb2.py, *_pb2.pyi and *_pb2_grpc.py below `into`."""
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
    if protoc.main(["protoc", *includes, *outputs, *map(str, SOURCES)]) != 0:
        sys.exit("protoc refused the sources above")


def stale(fresh: Path) -> list[str]:
    """Names of committed stubs that differ from fresh ones, are missing or too many."""
    committed = {path.name: path.read_bytes() for path in (PROTO / "dative" / "v1").glob("*_pb2*")}
    wanted = {path.name: path.read_bytes() for path in (fresh / "dative" / "v1").glob("*_pb2*")}
    return sorted(name for name in committed | wanted if committed.get(name) != wanted.get(name))


def main() -> None:
    if "--check" not in sys.argv[1:]:
        generate(PROTO)
        return
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        names = stale(Path(directory))
    if names:
        sys.exit(f"stale stubs (grpcio-tools {version('grpcio-tools')}): {', '.join(names)}; run: make stubs")


if __name__ == "__main__":
    main()
