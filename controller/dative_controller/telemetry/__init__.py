"""What the controller says of itself: log lines, counters and its own spans."""
