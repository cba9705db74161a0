"""What atoms report: taken in exactly once, searched, kept for a while, and forwarded to an SRE's backend."""
