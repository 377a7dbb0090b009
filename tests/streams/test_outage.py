"""KafkaBus when things go wrong: a dead broker, a member that is too slow, a broker that takes less than the table."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import kafka
import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from traffic import EVERY, drain, ends, fill, insist, record, values

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import found_topics, make_topics
from ingest.record import BrokerAway, Full, Rebalancing, Record, Refused, Retry, TooLarge
from ingest.topics import FRAMES


def test_nothing_is_lost_or_doubled_while_the_broker_is_dead(brokers: Any) -> None:
    brokers.start("--set", "broker.session.timeout.ms=3000")
    cluster = Cluster(servers=brokers.servers)
    make_topics(cluster, [FRAMES])
    bus = KafkaBus(cluster, read=["frames"], group="g", max_in_flight=1 << 20)
    fill(bus, 20)
    found = drain(bus, 20)
    brokers.do("kill", "1")
    for n in range(20, 25):
        bus.send(record(n))
    with pytest.raises(BrokerAway) as away:
        bus.flush(wait_s=1.0)
    assert away.value.retry_after_s > 0
    with pytest.raises(Retry):
        bus.commit(ends(found))
    with pytest.raises(Retry):
        bus.lag()
    big = Record(topic="frames", key=b"big", value=bytes(100_000))
    for _ in range(10):
        bus.send(big)
    with pytest.raises(Full):
        bus.send(big)
    with suppress(Retry):
        assert bus.poll(100, 0.5) == []
    brokers.do("restart", "1")
    insist(bus.flush)
    insist(lambda: bus.commit(ends(found)))
    sent = list(bus.scan("frames"))
    assert values([r for r in sent if r.key != b"big"]) == list(range(25))
    rest = drain(bus, len(sent) - 20)
    assert len(rest) == len(sent) - 20
    assert values([r for r in rest if r.key != b"big"]) == list(range(20, 25))
    bus.close()


def test_without_a_broker_the_sentence_says_where_it_looked() -> None:
    nobody = Cluster(servers="127.0.0.1:9", answer_s=1.0)
    with pytest.raises(BrokerAway, match=r"no answer from Kafka at 127\.0\.0\.1:9: is it up\?"):
        KafkaBus(nobody, read=["frames"], group="g")
    with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:9"):
        make_topics(nobody, [FRAMES])
    with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:9"):
        KafkaBus(nobody).send(record(0))


def test_a_member_too_slow_for_its_group_loses_its_partitions_and_its_commit(cluster: Cluster) -> None:
    slow = KafkaBus(replace(cluster, session_s=6.0, max_poll_s=6.0), read=["frames"], group="g")
    fill(slow, 40)
    found = drain(slow, 40)
    slow.changes()
    time.sleep(7.5)
    other = KafkaBus(cluster, read=["frames"], group="g")
    assert values(drain(other, 40)) == list(range(40))
    with pytest.raises(Rebalancing):
        slow.commit(ends(found))
    give_up = time.monotonic() + 30
    again: list[Record] = []
    while len(other.assignment()) == 4 and time.monotonic() < give_up:
        again += slow.poll(1000, 0.1)
        other.poll(1000, 0.1)
    again += drain(slow, 1)
    lost, gained = slow.changes()
    assert (lost.lost, lost.gained) == (EVERY, frozenset())
    assert gained.gained == slow.assignment()
    assert values(again) == values([r for r in found if r.place in slow.assignment()])
    slow.commit(ends(again))
    for each in (slow, other):
        each.close()


def shrink(cluster: Cluster) -> None:
    """Somebody lets topic frames take 100,000 bytes only; returns when the broker knows."""
    small = {"max.message.bytes": "100000"}
    with closing(kafka.KafkaAdminClient(bootstrap_servers=cluster.servers)) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{cluster.prefix}frames", small)])
    give_up = time.monotonic() + 20
    while found_topics(cluster)["frames"].config["max.message.bytes"] != "100000" and time.monotonic() < give_up:
        time.sleep(0.1)


def test_a_broker_that_takes_less_than_the_table_is_believed(cluster: Cluster) -> None:
    shrink(cluster)
    bus = KafkaBus(cluster)
    with pytest.raises(TooLarge, match="topic frames takes up to 100000"):
        bus.send(Record(topic="frames", key=b"k", value=bytes(100_000)))
    bus.send(Record(topic="frames", key=b"k", value=bytes(99_000)))
    bus.flush()
    bus.close()


def test_a_record_that_the_broker_takes_no_more_is_refused_and_not_forgotten(cluster: Cluster) -> None:
    bus = KafkaBus(cluster)
    bus.send(record(0))  # the limit is known from here on
    bus.flush()
    shrink(cluster)
    bus.send(Record(topic="frames", key=b"k", value=bytes(500_000)))
    with pytest.raises(Refused, match=r"a record for frames was refused: .*MessageSizeTooLarge"):
        bus.flush()
    with pytest.raises(Refused):
        bus.flush()  # it does not pass for sent the second time
    bus.close()
