"""`python -m dative_atom.testing`: what `dative-atom test` starts, in a process of its own."""

import sys

from dative_atom.testing.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
