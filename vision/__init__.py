"""Frames become sightings and passes."""
