"""What a batch does to targets.

The order of write, prepare, commit and settle, attempts, and answers that were lost.
"""
