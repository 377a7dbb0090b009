"""The second head of the plate net: learned from drawn plates in street pictures."""
