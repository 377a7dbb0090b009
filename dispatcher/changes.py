"""Changes: which places and objects an engine has touched since somebody kept what it knows."""

from __future__ import annotations


class Changes:
    """By id, each once, in the order in which they were touched first."""

    def __init__(self) -> None:
        self._places: dict[str, None] = {}
        self._anchors: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._places) + len(self._anchors)

    def place(self, id: str) -> None:
        self._places[id] = None

    def anchor(self, id: str) -> None:
        self._anchors[id] = None

    def taken(self) -> tuple[list[str], list[str]]:
        """Places and objects; from here on it begins anew."""
        found = [*self._places], [*self._anchors]
        self._places, self._anchors = {}, {}
        return found
