"""Documents made of others, and what documents leave for those after them.

Parts, copies, called processes, properties, caches, snapshots.
"""
