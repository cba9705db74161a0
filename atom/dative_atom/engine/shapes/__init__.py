"""The shapes: one file each, all behind the small contract in `dative_atom.engine.plan`."""
