"""The table of topics is the one that the contract shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.topics import BY_NAME, FRAMES, PASSES, SIGHTINGS, TOPICS

PAGE = (Path(__file__).parents[2] / "docs/wire.md").read_text(encoding="utf8").split("## Topics")[1].split("**Rej")[0]
HOUR_MS, GIB, MIB, KIB = 3_600_000, 1 << 30, 1 << 20, 1 << 10


def rows() -> list[tuple[str, int, str, str]]:
    found = []
    for names, partitions, kept, largest in re.findall(
        r"^\| (`.*?) \| (\d+) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE
    ):
        found += [(name, int(partitions), kept, largest) for name in re.findall(r"`(.*?)`", names)]
    return found


def test_every_topic_is_on_the_page() -> None:
    assert [name for name, *_ in rows()] == [topic.name for topic in TOPICS]


@pytest.mark.parametrize(("name", "partitions", "kept", "largest"), rows())
def test_a_topic_is_as_the_page_says(name: str, partitions: int, kept: str, largest: str) -> None:
    topic = BY_NAME[name]
    assert topic.partitions == partitions
    config = topic.config
    if kept == "the last of each key":
        assert (config["cleanup.policy"], config["retention.ms"]) == ("compact", "-1")
    else:
        hours, gib = re.findall(r"\d+", kept)
        assert config["cleanup.policy"] == "delete"
        assert config["retention.ms"] == str(int(hours) * HOUR_MS)
        assert config["retention.bytes"] == str(int(gib) * GIB)
    if "more" in largest:
        original = BY_NAME[name.removesuffix(".rejected")].max_message_bytes
        assert config["max.message.bytes"] == str(original + 64 * KIB)
    else:
        assert config["max.message.bytes"] == str(int(largest.split()[0]) * MIB)


def test_pictures_among_the_rejected_expire_after_three_days() -> None:
    assert FRAMES.rejected.config["retention.ms"] == "259200000"
    assert FRAMES.rejected.config["message.timestamp.type"] == "LogAppendTime"  # whatever a vehicle's clock says
    assert int(FRAMES.rejected.config["segment.ms"]) <= HOUR_MS


def test_a_place_is_in_one_partition_number_of_both_topics() -> None:
    assert SIGHTINGS.partitions == PASSES.partitions
