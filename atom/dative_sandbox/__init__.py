"""Simulated systems to build and test against on a laptop: with state, limits, a clock and scripted faults.

They import neither the atom nor the controller: nothing here knows what will be tested with it.
"""

from dative_sandbox.server import SalesforceSandbox, SandboxSettings

__all__ = ["SalesforceSandbox", "SandboxSettings"]
