"""Logging in: SCRAM over TLS with a certificate of the client's own, on a real broker that insists on both."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import kafka
import pytest
from kafka.admin import UserScramCredentialUpsertion
from traffic import drain, fill, values

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import found_topics, make_topics
from ingest.record import BrokerAway
from ingest.topics import FRAMES
from jiexun.settings import read_settings

PASSWORD = "街巡-Secret"


def certify(folder: Path, name: str, *extension: str) -> None:
    """`name`.key and `name`.pem, signed by ca.pem, by openssl."""
    subject = ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-nodes", "-newkey", "rsa:2048"]
    openssl(folder, "req", *subject, "-out", f"{name}.csr")
    (folder / "extension").write_text("\n".join(extension))
    signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-extfile", "extension", "-out", f"{name}.pem")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.fail("openssl is not on the PATH: install it (Debian: openssl)")
    folder = tmp_path_factory.mktemp("certificates")
    subject = ["-subj", "/CN=ca", "-keyout", "ca.key", "-nodes", "-newkey", "rsa:2048"]
    openssl(folder, "req", "-x509", *subject, "-out", "ca.pem")
    certify(folder, "broker", "subjectAltName=IP:127.0.0.1")
    certify(folder, "client")
    keystore = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "broker-store.pem").write_text(keystore)
    return folder


@pytest.fixture
def guarded(brokers: Any, certificates: Path) -> dict[str, str]:
    """The settings of a client that such a broker lets in."""
    plain, safe = free_port(), free_port()
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{safe},CONTROLLER://127.0.0.1:{plain + 10}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
        "listener.name.sasl_ssl.ssl.client.auth": "required",  # the plain name is not for SASL
    }
    brokers.start("--port", str(plain), *(word for item in settings.items() for word in ("--set", "=".join(item))))
    with closing(kafka.KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{plain}")) as admin:
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion("worker", "SCRAM-SHA-512", PASSWORD)])
    return {
        "JIEXUN_KAFKA": f"127.0.0.1:{safe}",
        "JIEXUN_KAFKA_PROTOCOL": "sasl_ssl",
        "JIEXUN_KAFKA_USERNAME": "worker",
        "JIEXUN_KAFKA_PASSWORD": PASSWORD,
        "JIEXUN_KAFKA_CA": str(certificates / "ca.pem"),
        "JIEXUN_KAFKA_CERTIFICATE": str(certificates / "client.pem"),
        "JIEXUN_KAFKA_KEY": str(certificates / "client.key"),
    }


def test_the_settings_let_in_who_may_and_nobody_else(guarded: dict[str, str]) -> None:
    def cluster(**changed: str) -> Cluster:
        other = {f"JIEXUN_KAFKA_{name.upper()}": value for name, value in changed.items()}
        return replace(read_settings(guarded | other).cluster(), answer_s=4.0)

    make_topics(cluster(), [FRAMES])
    with closing(KafkaBus(cluster(), read=["frames"], group="g")) as bus:
        fill(bus, 20)
        assert values(drain(bus, 20)) == list(range(20))
        assert PASSWORD not in repr(cluster())
    for wrong, why in (
        ({"password": "guess"}, r"are login and certificates right \(SASL_SSL\)"),
        ({"ca": ""}, "certificate verify failed"),
        ({"certificate": "", "key": ""}, r"are login and certificates right \(SASL_SSL\)"),
        ({"protocol": "SSL"}, r"are login and certificates right \(SSL\)"),
    ):
        with pytest.raises(BrokerAway, match=why):
            found_topics(cluster(**wrong))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"JIEXUN_KAFKA_PROTOCOL": "TLS"}, "JIEXUN_KAFKA_PROTOCOL='TLS': expected one of PLAINTEXT, SSL"),
        ({"JIEXUN_KAFKA_SESSION_S": "ten"}, "JIEXUN_KAFKA_SESSION_S='ten'"),
        ({}, "no Kafka is named: set JIEXUN_KAFKA or --kafka"),
    ],
)
def test_a_setting_that_cannot_be_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_settings(given).cluster()
