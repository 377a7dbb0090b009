"""Cluster: where a Kafka is and how to log in. Needs no Kafka library."""

from __future__ import annotations

from dataclasses import dataclass, field

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How to reach the brokers. Security is Kafka's own four protocols; empty is not given."""

    servers: str  # "host:port,host:port": the first to answer tells of the others
    prefix: str = ""  # before the name of every topic and group, so that several can share a cluster
    protocol: str = "PLAINTEXT"  # or SSL, SASL_PLAINTEXT, SASL_SSL
    mechanism: str = "SCRAM-SHA-512"  # of SASL; or SCRAM-SHA-256, PLAIN
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""  # PEM file that signs the brokers; empty: the system's
    certificate: str = ""  # PEM files of this client, for mutual TLS
    key: str = ""
    key_password: str = field(default="", repr=False)
    session_s: float = 10.0  # a member silent for so long is dead to its group
    max_poll_s: float = 300.0  # and so is one that did not poll for so long
    answer_s: float = 10.0  # how long a call waits for a broker before it raises Retry


def checked_protocol(text: str) -> str:
    """One of PROTOCOLS, however it is capitalised. Raises ValueError."""
    if text.upper() not in PROTOCOLS:
        raise ValueError(f"expected one of {', '.join(PROTOCOLS)}")
    return text.upper()
