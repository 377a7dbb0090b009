"""Settings: read once from the environment, passed as arguments. Every field has a default that works on a laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.cluster import Cluster, checked_protocol

PREFIX = "JIEXUN_"
CHINA = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process's settings. The environment variable of a field is JIEXUN_ and its name in capitals."""

    data: Path = Path("jiexun-data")  # where runs keep their store, evidence and rejected inputs
    model: str = "streetscape-v1"
    also: str = ""  # further models that look at every frame, "stalls-v1,…"; empty: none
    no_parking: str = ""  # GeoJSON of areas in which parked two-wheelers are told; empty: nobody looks for them
    engine: str = "auto"  # what runs the model: see `jiexun doctor`
    timezone: ZoneInfo = CHINA  # of camera clocks that do not say
    every_m: float = 4.0  # one frame per so many metres of travel
    batch: int = 32  # frames a detector call: a few for every lane
    host: str = "127.0.0.1"
    port: int = 8000
    store: str = field(default="", repr=False)  # sqlite:///PATH.db or postgresql://…; empty: jiexun.db in `data`
    evidence: str = ""  # file:///folder or s3://bucket/prefix; empty: beside the store
    evidence_days: int = 90  # pictures that no case needs go after so many
    s3_endpoint: str = ""  # empty: AWS
    s3_region: str = "us-east-1"
    s3_key: str = ""  # empty: as boto3 finds it (AWS_* variables, files, roles)
    s3_secret: str = field(default="", repr=False)
    s3_ca: str = ""  # PEM file that signs the server
    privacy_key: str = field(default="", repr=False)  # seeds the noise over faces and plates; empty: kept in `data`
    public_url: str = ""  # where browsers reach the page, e.g. https://jiexun.futian.example; empty: as they ask
    oidc_issuer: str = ""  # an OpenID Connect provider; empty: none
    oidc_client: str = "jiexun"
    oidc_secret: str = field(default="", repr=False)  # empty: a public client
    oidc_name: str = "统一身份认证"  # on its button
    oidc_scopes: str = "openid profile"
    oidc_role_claim: str = "jiexun_role"
    oidc_roles: str = "viewer=viewer,officer=officer,dispatcher=dispatcher,admin=admin"  # value of the claim=role
    oidc_areas_claim: str = "jiexun_areas"  # codes, or all
    reports_per_sender: int = 1000  # an hour, of one key or account; 0: no limit
    reports_per_reporter: int = 20  # an hour, of one citizen whom it names; 0: no limit
    channels_allow: str = ""  # networks beside the public internet that channels may reach: "10.20.0.0/16,…"
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0  # of /metrics, /healthz and /readyz; 0: none
    kafka: str = ""  # brokers, "host:port,…"
    kafka_prefix: str = ""  # before the names of topics and groups
    kafka_protocol: str = "PLAINTEXT"  # or SSL, SASL_PLAINTEXT, SASL_SSL
    kafka_mechanism: str = "SCRAM-SHA-512"  # of SASL; or SCRAM-SHA-256, PLAIN
    kafka_username: str = ""
    kafka_password: str = field(default="", repr=False)
    kafka_ca: str = ""  # PEM file that signs the brokers; empty: the system's
    kafka_certificate: str = ""  # PEM files of this client, for mutual TLS
    kafka_key: str = ""
    kafka_key_password: str = field(default="", repr=False)
    kafka_session_s: float = 10.0  # a worker silent for so long has its frames given to others
    kafka_max_poll_s: float = 300.0  # and so has one that is busy with a batch for so long

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that looks at a frame, the main one first."""
        return (self.model, *(name.strip() for name in self.also.split(",") if name.strip()))

    def cluster(self, servers: str | None = None) -> Cluster:
        """The Kafka to use: `servers` when given, else the setting's. Raises ValueError when neither is."""
        if not (servers or self.kafka):
            raise ValueError("no Kafka is named: set JIEXUN_KAFKA or --kafka, e.g. 127.0.0.1:19092")
        return Cluster(
            servers=servers or self.kafka,
            prefix=self.kafka_prefix,
            protocol=self.kafka_protocol,
            mechanism=self.kafka_mechanism,
            username=self.kafka_username,
            password=self.kafka_password,
            ca=self.kafka_ca,
            certificate=self.kafka_certificate,
            key=self.kafka_key,
            key_password=self.kafka_key_password,
            session_s=self.kafka_session_s,
            max_poll_s=self.kafka_max_poll_s,
        )


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from JIEXUN_* variables. Raises ValueError that names the variable."""
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        text = environment.get(PREFIX + setting.name.upper())
        if text is not None and text != "":
            values[setting.name] = _read(setting.name, text)
    return Settings(**values)


def _read(name: str, text: str) -> Any:
    try:
        match name:
            case "data":
                return Path(text)
            case "timezone":
                return ZoneInfo(text)
            case "every_m" | "kafka_session_s" | "kafka_max_poll_s":
                return float(text)
            case "kafka_protocol":
                return checked_protocol(text)
            case "batch" | "metrics_port" | "port":
                return int(text)
            case "reports_per_sender" | "reports_per_reporter":
                return limit(int(text))
            case "evidence_days":
                return days(int(text))
            case _:
                return text
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"{PREFIX}{name.upper()}={text!r}: {error}") from None


def limit(number: int) -> int:
    """So many, or 0 for no limit. Raises ValueError for less."""
    if number < 0:
        raise ValueError("must be 0 or more")
    return number


def days(number: int) -> int:
    """So many whole days. Raises ValueError for none."""
    if not 1 <= number <= 36_500:
        raise ValueError("must be from 1 to 36500 days")
    return number
