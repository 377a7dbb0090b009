"""The world becomes frames: folders, videos, positions."""
