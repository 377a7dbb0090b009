"""Sightings become cases, cases become alerts."""
