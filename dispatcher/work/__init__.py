"""What the offices do with a case: steps, clocks, duty, policy."""
