"""What deploys Jiexun fits what it deploys: files, settings, commands, metrics. And the linters' word on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from dispatcher.store.store import Store
from ingest.topics import FRAMES
from jiexun.access import RequestMetrics, StoredCases
from jiexun.cli import app
from jiexun.metrics import Metrics
from jiexun.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jiexun" / "deploy-tools"
SETTINGS = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf8"))
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf8")


def assert_command(words: list[str]) -> None:
    """`jiexun WORDS` is a command with these options and enough arguments."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]
    command.make_context("jiexun", rest, resilient_parsing=False).close()


# Dockerfile


def instructions() -> Iterator[tuple[str, list[str]]]:
    """(name, words) of every instruction, continued lines joined."""
    plain = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in plain.splitlines():
        if line.strip():
            name, *words = line.split()
            yield name, words


def test_everything_that_is_copied_is_there_and_let_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf8").splitlines() if line[:1] == "!"}
    sources = {
        source.rstrip("/")
        for name, words in instructions()
        if name == "COPY" and not words[0].startswith("--from")
        for source in words[:-1]
    }
    assert {"pyproject.toml", "requirements/runtime.txt"} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_every_package_is_copied() -> None:
    listed = re.search(r"^packages = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf8"), re.M | re.S)
    assert listed is not None
    tops = {name.split(".")[0] for name in re.findall(r'"([^"]+)"', listed[1])}
    assert tops == set(re.findall(r"^COPY (\w+)/ ", DOCKERFILE, re.MULTILINE))


def test_the_image_has_the_libraries_that_the_install_script_installs() -> None:
    script = (ROOT / "scripts/install").read_text(encoding="utf8")
    wanted = re.search(r'^  packages="([^"]+)"', script, re.MULTILINE)
    installed = re.search(r"--no-install-recommends ((?:[a-z0-9.-]+ ?)+)", DOCKERFILE)
    assert wanted is not None
    assert installed is not None
    assert installed[1].split() == wanted[1].split()


def test_whatever_is_installed_is_locked_by_its_hash() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert len(installs) == 4
    assert all(
        "--require-hashes -r requirements/" in line or "--no-deps --no-build-isolation ." in line for line in installs
    )


def pins(name: str) -> dict[str, set[str]]:
    """Package to its pinned versions (several where a marker chooses)."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([a-z0-9_.\[\]-]+)==([^\s;]+)", (ROOT / "requirements" / name).read_text(encoding="utf8"), re.MULTILINE
    ):
        found.setdefault(package, set()).add(version)
    return found


def test_one_environment_never_has_two_onnxruntimes() -> None:
    runtime, cuda = pins("runtime.txt"), pins("cuda.txt")
    assert "onnxruntime" in runtime
    assert "onnxruntime-gpu" not in runtime
    assert "onnxruntime-gpu" in cuda
    assert "onnxruntime" not in cuda
    stage = DOCKERFILE.split("FROM build AS build-cuda")[1].split("\nFROM ")[0]
    assert stage.index("pip uninstall --yes onnxruntime ") < stage.index("-r requirements/cuda.txt")


def test_what_both_images_have_is_of_the_same_version() -> None:
    runtime, cuda = pins("runtime.txt"), pins("cuda.txt")
    shared = runtime.keys() & cuda.keys()
    assert {"numpy", "protobuf"} <= shared
    assert {name: cuda[name] for name in shared} == {name: runtime[name] for name in shared}


def test_both_targets_run_as_nobody_in_particular_with_a_health_check() -> None:
    base = re.search(r"^ARG PYTHON=python:(3\.\d+)-", DOCKERFILE, re.MULTILINE)
    assert base is not None
    assert set(re.findall(r"/lib/(python[0-9.]+)/", DOCKERFILE)) == {f"python{base[1]}"}
    run = DOCKERFILE.split("FROM base AS run")[1].split("\nFROM ")[0]
    assert re.search(r"^USER 10001:10001$", run, re.MULTILINE)
    assert "/healthz" in run
    assert re.findall(r"^FROM run AS (\w+)$", DOCKERFILE, re.MULTILINE) == ["cuda", "cpu"]
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+", run)) <= SETTINGS


# compose.yaml

SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("jiexun")}


def test_the_stack_is_whole() -> None:
    assert {"kafka", "postgres", "s3", "topics", "worker", "dispatcher", "console"} <= SERVICES.keys()
    assert OURS.keys() == {"topics", "worker", "dispatcher", "console", "expire"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_exists_with_settings_that_exist(name: str) -> None:
    service = OURS[name]
    words = [word.replace("/areas.geojson", str(ROOT / "datasets/sample/areas.geojson")) for word in service["command"]]
    assert_command(words)
    assert set(service["environment"]) <= SETTINGS


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_reachable_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":[\w.-]+$", service["image"])
    assert not service["image"].endswith(":latest")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_every_variable_is_in_the_example_and_every_file_is_there() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf8")
    example = (ROOT / "deploy/compose.env").read_text(encoding="utf8")
    assert set(re.findall(r"\$\{(\w+)", text)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists(), volume
    assert (ROOT / re.findall(r"^AREAS=(\S+)$", example, re.MULTILINE)[0]).is_file()


# Kubernetes

MANIFESTS: list[tuple[Path, dict[str, Any]]] = [
    (path, document)
    for path in sorted((ROOT / "deploy/k8s").rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf8"))
]
BASE = [document for path, document in MANIFESTS if path.parent.name == "base"]


def of_kind(kind: str, among: list[dict[str, Any]] = BASE) -> list[dict[str, Any]]:
    return [document for document in among if document["kind"] == kind]


WORKLOADS = {document["metadata"]["name"]: document for document in [*of_kind("Deployment"), *of_kind("Job")]}
WORKLOADS |= {document["metadata"]["name"]: document["spec"]["jobTemplate"] for document in of_kind("CronJob")}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_runs_a_command_that_exists_with_settings_that_exist(name: str) -> None:
    (container,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    assert_command(container["args"])
    example = next(document for path, document in MANIFESTS if path.name == "secret.example.yaml")
    for variable in container["env"]:
        assert variable["name"] in SETTINGS
        assert variable["valueFrom"]["secretKeyRef"]["key"] in example["stringData"]
    for document in (document for _, document in MANIFESTS):
        if document["kind"] == "ConfigMap":
            assert set(document["data"]) <= SETTINGS


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_may_do_no_more_than_it_needs(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("document", of_kind("Deployment"), ids=lambda d: str(d["metadata"]["name"]))
def test_a_deployment_is_probed_where_probes_are_served(document: dict[str, Any]) -> None:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    (settings,) = of_kind("ConfigMap")
    assert [str(port["containerPort"]) for port in container["ports"]] == [settings["data"]["JIEXUN_METRICS_PORT"]]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_evidence_expires_every_day_in_both_deployments() -> None:
    (job,) = of_kind("CronJob")
    minute, hour, *days = job["spec"]["schedule"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*", "*", "*"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert WORKLOADS["expire"]["spec"]["template"]["spec"]["containers"][0]["args"] == ["expire"]
    assert SERVICES["expire"]["command"] == ["expire"]
    assert "docker compose --profile upkeep run --rm expire" in OPERATIONS


def test_secrets_are_named_and_never_kept() -> None:
    assert of_kind("Secret") == []
    for path, document in MANIFESTS:
        if document["kind"] in ("Kustomization", "Component"):
            assert "secret.example.yaml" not in document.get("resources", []), path


def test_workers_follow_their_lag_up_to_the_partitions_there_are() -> None:
    (scaled,) = of_kind("ScaledObject", [document for _, document in MANIFESTS])
    spec = scaled["spec"]
    assert spec["maxReplicaCount"] == FRAMES.partitions
    assert spec["minReplicaCount"] >= 1
    (trigger,) = spec["triggers"]
    assert "jiexun_lag_records" in trigger["metadata"]["query"]
    known = {"pollingInterval", "cooldownPeriod", "fallback", "advanced", "scaleTargetRef", "triggers"}
    assert spec.keys() <= known | {"minReplicaCount", "maxReplicaCount"}  # the linter lets other fields pass
    assert trigger.keys() <= {"type", "name", "metricType", "metadata"}
    assert trigger["metadata"].keys() <= {"serverAddress", "query", "threshold", "activationThreshold"}


def test_a_disruption_takes_one_of_several() -> None:
    budgets = {document["metadata"]["name"]: document["spec"] for document in of_kind("PodDisruptionBudget")}
    assert budgets.keys() == {"worker", "console"}
    for name, spec in budgets.items():
        assert spec["selector"]["matchLabels"] == WORKLOADS[name]["spec"]["selector"]["matchLabels"]
        assert WORKLOADS[name]["spec"]["replicas"] > 1


# Metrics that are asked for


def exported() -> set[str]:
    """The sample names of every metric that a process of ours can show."""
    registry = Metrics("worker").registry
    RequestMetrics(registry)
    with Store.open("sqlite://") as store:
        from datetime import UTC, datetime

        registry.register(StoredCases(lambda: store.summary(datetime(2026, 1, 1, tzinfo=UTC))))
        families = list(registry.collect())
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + end for family in families for end in ends[family.type]}


EXPORTED = exported()
BOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/jiexun.json").read_text(encoding="utf8"))
QUERIES = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel.get("targets", [])]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf8"))["groups"][0]["rules"]
ASKED = QUERIES + [(rule["alert"], rule["expr"]) for rule in ALERTS]


@pytest.mark.parametrize(("title", "query"), ASKED, ids=lambda text: text[:40])
def test_a_metric_that_is_asked_for_exists(title: str, query: str) -> None:
    named = set(re.findall(r"\b(?:jiexun|process)_[a-z_]+\b", query))
    assert named or query.startswith("up{"), title
    assert named <= EXPORTED


def test_the_dashboard_shows_every_metric() -> None:
    shown = {name for _, query in QUERIES for name in re.findall(r"\bjiexun_[a-z_]+\b", query)}
    roots = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    wanted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in EXPORTED if name.startswith("jiexun_")}
    assert wanted - roots == set()


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_docs_explain_every_metric_and_every_alert() -> None:
    for name in {re.sub(r"_(bucket|sum|count)$", "", name) for name in EXPORTED if name.startswith("jiexun_")}:
        assert f"`{name}" in OPERATIONS, name
    for rule in ALERTS:
        assert f"`{rule['alert']}`" in OPERATIONS, rule["alert"]


# The linters


@pytest.fixture(scope="session")
def tools() -> None:
    """The linters. Building them takes minutes: without CI they are used only where they are already."""
    strict = bool(os.environ.get("CI")) and all(map(shutil.which, ("go", "npm", "apt-get")))
    if not strict and not (TOOLS / "v0.0.4").exists():
        pytest.skip("DEPLOYMENT NOT LINTED: scripts/check-deploy --tools gets the linters (some minutes, once)")
    done = subprocess.run([ROOT / "scripts/check-deploy", "--tools"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"DEPLOYMENT NOT LINTED: {done.stderr.strip().splitlines()[-1]}"
        pytest.fail(reason) if strict else pytest.skip(reason)


def linted(root: Path) -> dict[str, str]:
    """What scripts/check-deploy says of each part."""
    done = subprocess.run([sys.executable, root / "scripts/check-deploy"], capture_output=True, text=True, check=False)
    said = {line.split(maxsplit=1)[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert (done.returncode == 0) == (set(said.values()) == {"ok"}), done.stderr
    return said


@pytest.mark.usefixtures("tools")
def test_the_linters_find_nothing() -> None:
    assert set(linted(ROOT).values()) == {"ok"}


@pytest.mark.usefixtures("tools")
def test_the_linters_find_what_is_wrong(tmp_path: Path) -> None:
    for name in ("scripts", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Dockerfile", "compose.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name, right, wrong in (
        ("Dockerfile", "USER 10001:10001", "RUN cd / && sudo apt-get install vim"),
        ("compose.yaml", "    shm_size: 256m", "    shm_sice: 256m"),
        ("deploy/k8s/base/worker.yaml", "  replicas: 2", "  replicas: two"),
        ("deploy/grafana/dashboards/jiexun.json", "sum(jiexun_blocked", "sum((jiexun_blocked"),
    ):
        text = (tmp_path / name).read_text(encoding="utf8")
        assert right in text
        (tmp_path / name).write_text(text.replace(right, wrong, 1), encoding="utf8")
    assert set(linted(tmp_path).values()) == {"WRONG"}


@pytest.mark.usefixtures("tools")
def test_a_field_that_kubernetes_or_keda_does_not_know_is_found(tmp_path: Path) -> None:
    for name in ("scripts", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Dockerfile", "compose.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "deploy/k8s/components/keda/scaledobject.yaml"
    path.write_text(
        path.read_text(encoding="utf8").replace("maxReplicaCount: 12", "maxReplicaCount: many"), encoding="utf8"
    )
    assert linted(tmp_path)["deploy/k8s"] == "WRONG"
