"""Where documents come from, and how they are cut.

Readers, dead letters, starts without a connector, units, lanes.
"""
