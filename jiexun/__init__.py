"""Composition root: settings, command line, embedded pipeline."""
