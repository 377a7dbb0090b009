"""Regroup: what becomes of places when a person says that two cases are one, or that one is several."""

from __future__ import annotations

from dispatcher.case import Alert
from dispatcher.place import Episode, Owners, Place
from dispatcher.places import Places
from dispatcher.work.action import Action
from ingest.frame import derived_id

Found = tuple[Place, Episode]  # an episode, and where it is of


def merge(places: Places, gone: Found, kept: tuple[Place, str], owners: Owners) -> None:
    """The sightings go on in another case, and what is seen at either spot from now on is of that one.

    `kept`: the place of that case, and its id.
    """
    (place, episode), (other, into) = gone, kept
    goes_on = next(found for found in other.episodes if found.id == into)
    other.parts += [goes_on.position, episode.position, *place.parts]
    goes_on.join(episode, owners)
    goes_on.refresh(other.kind)
    place.episodes.remove(episode)
    place.retired = True
    places.hide(place)
    if not place.episodes:
        places.forget(place)
    places.put(other)


def split(places: Places, found: Found, action: Action, part: str, owners: Owners) -> Place:
    """The named sightings are of another thing: the place that it has now. `part`: the id of its case."""
    place, episode = found
    fresh = episode.part(part, frozenset(action.sightings), owners)
    fresh.alerts = [Alert(recipient, action.event, action.at) for recipient in action.recipients]
    for part_of in (episode, fresh):
        part_of.refresh(place.kind)
    made = Place(derived_id("place", part), place.kind, place.matter, [fresh])
    places.hide(place)
    place.parts = []  # what was one is known to be several
    places.put(place)
    places.put(made)
    return made
