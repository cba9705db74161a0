"""`python -m dative_atom.agent` is `dative-atom`."""

from dative_atom.agent.cli import main

main(prog_name="dative-atom")
