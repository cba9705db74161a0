"""`python -m dative_atom.worker --fd N`: see `main`."""

from __future__ import annotations

import sys

from dative_atom.worker.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
