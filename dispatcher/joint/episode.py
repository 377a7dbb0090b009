"""Episode: one time that a disorder was there. Cut from all looks at its place, whenever they arrived."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dispatcher.joint.absence import Habit, Return, came_back
from dispatcher.joint.belief import UNTOLD, Belief, Look, alarm, bounded
from dispatcher.joint.manner import Manners, Suspicion

OPENS_AT: Final = 0.90  # belief from which a case is opened and told
CLOSES_AT: Final = 0.015  # belief below which an open case is verified gone
DISMISSES_AT: Final = 0.03  # belief below which a candidate is given up
CLEAN_ENOUGH: Final = 2.3  # -ln of the chance that every clean look was a miss; one pass alone never closes a case
FAKE_LEFT: Final = 0.02  # part of what nothing has, to which what fools the detector must fall for a case to close
ALONE: Final = 0.6  # odds that first reports are right below which one pass alone opens no case, however sure it is
AGAIN: Final = 1.0  # odds that a first report is right where such a disorder lay before: one in five comes back
SURELY: Final = 0.5  # a report less sure than that says something, but does not say that the thing was seen


@dataclass(slots=True)
class Episode:
    """One time that a disorder was there, as the looks tell it."""

    looks: list[Look]
    p: float
    opened_at: datetime | None = None  # the look at which belief reached OPENS_AT
    closed_at: datetime | None = None  # the look that verified it gone
    doubted: bool = False  # belief fell to DISMISSES_AT before it ever opened


def episodes(
    looks: Sequence[Look],
    kind: str,
    told: frozenset[str] = frozenset(),
    odds: float = 1.0,
    manners: Manners | None = None,
) -> list[Episode]:
    """Cut the looks at one place, in order of time, into episodes; misses before the first sighting are left out.

    An episode with a pass of `told` is open from there on, whatever its belief: somebody has heard of it. `odds`: how
    far a first report is to be believed, see `Firsts`.
    """
    found: list[Episode] = []
    for piece in _pieces(looks, kind, told, odds, manners or Manners()):
        again = bool(found) and found[-1].closed_at is not None and piece.opened_at is not None
        if again and not came_back([*_since_last_seen(found[-1].looks), *_until_opened(piece)], kind):
            found[-1] = _joined(found[-1], piece)
        else:
            found.append(piece)
    return found


def _pieces(looks: Sequence[Look], kind: str, told: frozenset[str], odds: float, manners: Manners) -> list[Episode]:
    pieces: list[Episode] = []
    belief: Belief | None = None
    clean, passes, sightings = 0.0, 0, 0
    gap = 0.0  # the clean looks since it was surely seen, whatever doubtful reports said
    evidence = _Evidence(kind, Suspicion(manners))
    for claimed in looks:
        now = pieces[-1] if pieces else None
        look, stayed = evidence.weigh(claimed, now, belief)
        if now is None or now.closed_at is not None or (now.doubted and look.seen is not None):
            if look.seen is None:
                if now is not None:
                    now.looks.append(look)
                continue
            if now is None or now.closed_at is not None:
                now = Episode([], 0.0)
                belief = Belief.first(look.seen, max(odds, AGAIN) if pieces else odds)
                pieces.append(now)
                clean, passes, sightings, gap = 0.0, 0, 0, 0.0
            now.doubted = False
        assert belief is not None
        if now.looks:
            belief.pass_by(look.time - now.looks[-1].time, kind)
            if look.seen is not None and now.opened_at is not None and not stayed and gap >= CLEAN_ENOUGH:
                now.closed_at = max(other.at for other in now.looks if other.seen is None)  # it had gone by then
                now = Episode(_doubtful_since(now), 0.0)
                pieces.append(now)
                belief, sightings = Belief.first(look.seen, max(odds, AGAIN)), 0
            else:
                belief.look(look)
        now.looks.append(look)
        now.p = belief.p
        if look.seen is None:
            clean, passes, gap = clean + look.clean, passes + 1, gap + look.clean
        elif look.seen < SURELY:  # it takes back no more than it says
            clean = max(0.0, clean + math.log(alarm(bounded(look.seen))))
        else:
            clean, passes, gap = 0.0, 0, 0.0
        sightings += look.seen is not None
        enough = odds >= ALONE or sightings > 1
        real = now.p * (1 - evidence.confuser)
        if now.opened_at is None and ((real >= OPENS_AT and enough) or look.pass_id in told):
            now.opened_at = look.at
        elif now.opened_at is None and now.p <= DISMISSES_AT:
            now.doubted = True
        elif now.opened_at is not None and now.p <= CLOSES_AT and clean >= CLEAN_ENOUGH and passes > 1:
            now.closed_at = look.at if evidence.no_confuser(belief) else None
    return pieces


class _Evidence:
    """What the looks at a place say beside belief, one by one: of the place, of the thing, and of its absence."""

    def __init__(self, kind: str, suspicion: Suspicion) -> None:
        self._kind, self._suspicion = kind, suspicion
        self._habit, self._since = Habit(), Return(kind)
        self._at = UNTOLD
        self._clean = False  # whether the last look reported nothing
        self._fooled = False  # whether a confuser was still possible when the last clean look had been weighed

    def weigh(self, look: Look, now: Episode | None, belief: Belief | None) -> tuple[Look, bool]:
        """A look as far as the place shows what is there; and, if it surely saw the thing, whether that had stayed."""
        if self._at != UNTOLD:
            self._since.pass_by(look.time - self._at)
        self._at, stayed = look.time, True
        if belief is not None and self._clean:  # before a doubtful report says that something is there again
            self._fooled = not self.no_confuser(belief)
        self._clean = look.seen is None
        if look.seen is None and not look.in_order:
            claimed, look = look.detectable, look.claiming(look.detectable * self._habit.share)
            self._habit.missed(claimed)
            self._suspicion.missed(look.detectable)
        surely = look.seen is not None and (now is None or look.seen >= SURELY)
        if look.seen is not None and surely:
            open_ = now is not None and now.closed_at is None
            stayed = self._since.stayed >= self._since.back or (open_ and self._fooled)
            self._habit.seen(bounded(look.seen), stayed=stayed and now is not None)
            self._since = Return(self._kind)
        else:
            self._since.look(look)
        if look.seen is not None:
            self._suspicion.seen(look.seen, surely=surely)
        return look, stayed

    @property
    def confuser(self) -> float:
        """Chance that it is one that fools the detector, by how it was reported."""
        return self._suspicion.likely

    def no_confuser(self, belief: Belief) -> bool:
        """Whether what fools the detector is out of the question: that is not gone because it is no disorder."""
        return belief.fake <= FAKE_LEFT * belief.nothing and self._suspicion.odds <= math.log(FAKE_LEFT)


def _doubtful_since(gone: Episode) -> list[Look]:
    """Doubtful reports after the last clean look at what was gone: of what came back. They leave it."""
    kept = max(n for n, look in enumerate(gone.looks) if look.seen is None or look.seen >= SURELY) + 1
    since, gone.looks[kept:] = gone.looks[kept:], []
    return since


def _until_opened(piece: Episode) -> list[Look]:
    return [look for look in piece.looks if piece.opened_at is not None and look.at <= piece.opened_at]


def _since_last_seen(looks: Sequence[Look]) -> Sequence[Look]:
    seen = [i for i, look in enumerate(looks) if look.seen is not None]
    return looks[max((i for i in seen if (looks[i].seen or 0.0) >= SURELY), default=seen[0]) :]


def _joined(before: Episode, after: Episode) -> Episode:
    return Episode([*before.looks, *after.looks], after.p, before.opened_at, after.closed_at)
