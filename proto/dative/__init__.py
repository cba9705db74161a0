"""What the atom and the controller must agree on: the wire, the errors, the process language, the bundle."""

__version__ = "0.1.0"
