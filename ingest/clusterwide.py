"""What is asked of a Kafka cluster as a whole: how to log in, what its errors mean to us, and its topics."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import kafka
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType

from ingest.cluster import Cluster
from ingest.heard import heard
from ingest.inflight import RETRY_S
from ingest.record import BrokerAway, Rebalancing, Refused
from ingest.topics import BY_NAME, Topic

OUTDATED = (
    errors.CommitFailedError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.UnknownMemberIdError,
)


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the broker has it."""

    partitions: int
    replicas: int
    config: dict[str, str]


def found_topics(cluster: Cluster) -> dict[str, FoundTopic]:
    """Those of the table that the broker has, by name without prefix. Raises BrokerAway or Refused."""
    with said_as_ours(cluster), open_admin(cluster) as admin:
        return found_by(admin, cluster)


def make_topics(cluster: Cluster, topics: Collection[Topic]) -> None:
    """Make those that are missing, and give those that are there the table's settings; their partitions stay.

    Replicas are the broker's default. Raises BrokerAway or Refused.
    """
    with said_as_ours(cluster), open_admin(cluster) as admin:
        there = found_by(admin, cluster)
        new = {
            cluster.prefix + topic.name: {"num_partitions": topic.partitions, "configs": topic.config}
            for topic in topics
            if topic.name not in there
        }
        if new:
            admin.create_topics(new, wait_for_metadata=True)
        old = [
            ConfigResource(ConfigResourceType.TOPIC, cluster.prefix + topic.name, topic.config)
            for topic in topics
            if topic.name in there
        ]
        if old:
            admin.alter_configs(old)
            _wait_for(admin, cluster, {topic.name: topic.config for topic in topics if topic.name in there})


def _wait_for(admin: Any, cluster: Cluster, wanted: dict[str, dict[str, str]]) -> None:
    """A moment passes before every broker knows the settings that the controller took."""
    give_up = time.monotonic() + cluster.answer_s
    while time.monotonic() < give_up:
        found = found_by(admin, cluster)
        if all(config.items() <= found[name].config.items() for name, config in wanted.items()):
            return
        time.sleep(0.05)


def found_by(admin: Any, cluster: Cluster) -> dict[str, FoundTopic]:
    every = {cluster.prefix + name: name for name in BY_NAME}
    there = [topic for topic in admin.describe_topics(list(every)) if not topic["error_code"]]
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic["name"]) for topic in there]
    config = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
    return {
        every[topic["name"]]: FoundTopic(
            partitions=len(topic["partitions"]),
            replicas=min(len(part["replica_nodes"]) for part in topic["partitions"]),
            config={name: entry["value"] for name, entry in config.get(topic["name"], {}).items()},
        )
        for topic in there
    }


@contextmanager
def open_admin(cluster: Cluster, client: str = "jiexun") -> Iterator[Any]:
    admin = kafka.KafkaAdminClient(**login(cluster, client))
    try:
        yield admin
    finally:
        admin.close()


def login(cluster: Cluster, client: str) -> dict[str, Any]:
    """What every client is given."""
    given = {
        "bootstrap_servers": cluster.servers.split(","),
        "client_id": client,
        "security_protocol": cluster.protocol,
        "reconnect_backoff_max_ms": 1000,  # the default, 30 s, outlasts the outage it waits for
        "bootstrap_timeout_ms": round(cluster.answer_s * 1000),
        "ssl_cafile": cluster.ca or None,
        "ssl_certfile": cluster.certificate or None,
        "ssl_keyfile": cluster.key or None,
        "ssl_password": cluster.key_password or None,
    }
    if cluster.protocol.startswith("SASL"):
        given |= {
            "sasl_mechanism": cluster.mechanism,
            "sasl_plain_username": cluster.username,
            "sasl_plain_password": cluster.password,
        }
    return given


@contextmanager
def said_as_ours(cluster: Cluster) -> Iterator[None]:
    """Tell the library's errors in our own words, by what the caller can do about them."""
    try:
        yield
    except OUTDATED as error:
        raise Rebalancing(f"the group is being dealt again: {error}", 0.0) from None
    except errors.KafkaError as error:
        if not error.retriable:
            raise Refused(f"Kafka at {cluster.servers} refuses: {error}") from None
        login = (
            "" if cluster.protocol == "PLAINTEXT" else f", and are login and certificates right ({cluster.protocol})"
        )
        asked = f"no answer from Kafka at {cluster.servers}: is it up{login}?"
        raise BrokerAway(f"{asked} ({heard.lately() or error})", RETRY_S) from None
