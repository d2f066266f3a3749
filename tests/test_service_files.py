"""The examples of how to run as a service are accepted by those who run services, and call commands that exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from streamreid.cli import app

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def options(words):
    """Parse a command line of streamreid without running it."""
    group = get_command(app)
    command = group.get_command(None, words[0])
    assert command is not None, words[0]
    with command.make_context(words[0], list(words[1:]), resilient_parsing=True) as context:
        return context.params


def test_the_unit_is_valid_and_calls_what_exists(tmp_path):
    text = (CONFIGS / "streamreid.service").read_text()
    lines = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    (started,) = [shlex.split(line) for line in lines]
    found = options(started[1:])
    assert (found["rotate"], found["keep"]) == ("1d", 30)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "streamreid.service"
    unit.write_text(text.replace("/opt/streamreid/bin/streamreid", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["head", "worker"])
def test_the_units_of_a_cluster_are_valid_and_call_what_exists(tmp_path, name):
    start = pytest.importorskip("ray.scripts.scripts").start
    text = (CONFIGS / f"streamreid-ray-{name}.service").read_text()
    (line,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line)
    assert words[:2] == ["/opt/streamreid/bin/ray", "start"]
    with start.make_context("start", words[2:], resilient_parsing=True) as context:
        found = context.params
    assert found["block"]
    assert (found["port"], found["num_cpus"]) == ((6379, 0) if name == "head" else (None, None))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / f"streamreid-ray-{name}.service"
    unit.write_text(text.replace("/opt/streamreid/bin/ray", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_container_calls_what_exists():
    text = (CONFIGS / "Containerfile").read_text()
    (command,) = [yaml.safe_load(line.removeprefix("CMD ")) for line in text.splitlines() if line.startswith("CMD ")]
    found = options(command)
    assert found["listen"] == "0.0.0.0:8080"
    assert str(found["out"]) == "/data/results"


def test_what_the_examples_install_is_a_checkout():
    """No package index has streamreid: a name would install nothing, or somebody else's package."""
    for file in CONFIGS.iterdir():
        installed = [line for line in file.read_text().splitlines() if "pip install" in line]
        assert all("'.[" in line or "/src[" in line for line in installed), installed


def documents(name):
    return [d for d in yaml.safe_load_all((CONFIGS / name).read_text()) if d is not None]


def commands(text):
    """Those of ray and of streamreid in a shell's line, as words."""
    words = [shlex.split(part.strip().removeprefix("exec ")) for part in text.split("&&")]
    return [w for w in words if w[0] == "ray"], [w for w in words if w[0] == "streamreid"]


def check_ray(words, **expected):
    start = pytest.importorskip("ray.scripts.scripts").start
    assert words[:2] == ["ray", "start"]
    with start.make_context("start", words[2:], resilient_parsing=True) as context:
        assert {key: context.params[key] for key in expected} == expected


def check_serve(words):
    found = options(words[1:])
    assert (found["listen"], str(found["out"]), found["rotate"]) == ("0.0.0.0:8080", "/data/results", "1d")


def test_the_cameras_file_of_a_cluster_is_valid(monkeypatch):
    from streamreid import load_config

    for name in ("CAM1_PASSWORD", "POSTGRES_PASSWORD"):
        monkeypatch.setenv(name, "word")
    monkeypatch.setenv("POSTGRES_HOST", "postgres")
    config = load_config(CONFIGS / "cams-cluster.yaml")
    assert config.cluster.address == "auto"
    assert config.gallery.store == "postgresql://streamreid:word@postgres/streamreid"


def test_the_compose_file_is_valid_and_calls_what_exists():
    compose = pytest.importorskip("compose_spec")
    (data,) = documents("compose.yaml")
    merged = yaml.safe_dump({key: value for key, value in data.items() if not key.startswith("x-")})
    parsed = compose.PyCompose.from_yaml(merged)
    parsed.validate()
    assert set(parsed.service_names()) == set(data["services"]) == {"site", "worker", "postgres"}
    with pytest.raises(ValueError, match="imagee"):  # so a mistake would be seen
        compose.PyCompose.from_yaml(merged.replace("  image:", "  imagee:"))
    site, worker = data["services"]["site"], data["services"]["worker"]
    assert site["image"] == worker["image"] == "streamreid:cluster"
    build = site["build"]
    assert ((CONFIGS / build["context"]).resolve() / build["dockerfile"]) == CONFIGS / "Containerfile"
    assert f"ARG {next(iter(build['args']))}=" in (CONFIGS / "Containerfile").read_text()
    assert {"cluster", "postgres", "server"} <= set(build["args"]["EXTRAS"].split(","))
    (ray,), (serve,) = commands(site["command"][0])
    check_ray(ray, head=True, port=6379, num_cpus=0, ray_client_server_port=10001)
    check_serve(serve)
    (ray,), none = commands(worker["command"][0].replace("${WORKER_CPUS:-2}", "2"))
    check_ray(ray, block=True, address="site:6379", num_cpus=2)
    assert none == []
    named = set(re.findall(r"\$\{(\w+)", (CONFIGS / "cams-cluster.yaml").read_text()))
    assert named <= set(site["environment"])
    mounted = {volume.partition(":")[0] for s in (site, worker) for volume in s["volumes"]}
    assert mounted <= {*data["volumes"], "../config"}


def test_the_extras_of_the_image_exist():
    pyproject = (CONFIGS.parent / "pyproject.toml").read_text()
    for name in ("Containerfile", "compose.yaml", "kuberay.yaml"):
        for listed in re.findall(r"EXTRAS[=:] ?([a-z,]+)", (CONFIGS / name).read_text()):
            for extra in listed.split(","):
                assert f"\n{extra} = [" in pyproject, (name, extra)


def pods():
    """The pods of the Kubernetes manifest, whatever makes them."""
    for item in documents("kuberay.yaml"):
        spec = item["spec"]
        if item["kind"] == "RayCluster":
            yield "head", spec["headGroupSpec"]["template"]
            yield from ((group["groupName"], group["template"]) for group in spec["workerGroupSpecs"])
        elif "template" in spec:
            yield item["metadata"]["name"], spec["template"]


def test_the_kubernetes_manifest_is_valid():
    """By the schemas of Kubernetes, which the package brings; of KubeRay's own fields only names are checked."""
    kubernetes = pytest.importorskip("kubernetes_validate")
    version = kubernetes.latest_version()
    for item in documents("kuberay.yaml"):
        if item["apiVersion"] != "ray.io/v1":
            kubernetes.validate(item, version, strict=True)
    for name, template in pods():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
        kubernetes.validate(pod, version, strict=True)
    (cluster,) = [item["spec"] for item in documents("kuberay.yaml") if item["kind"] == "RayCluster"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    assert set(cluster["headGroupSpec"]) == {"serviceType", "rayStartParams", "template"}
    (group,) = cluster["workerGroupSpecs"]
    assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def test_the_kubernetes_manifest_calls_what_exists():
    found = dict(pods())
    assert set(found) == {"head", "cameras", "streamreid-site", "streamreid-postgres"}
    containers = {name: template["spec"]["containers"][0] for name, template in found.items()}
    assert {c["image"] for name, c in containers.items() if name != "streamreid-postgres"} == {"streamreid:cluster"}
    site = containers["streamreid-site"]
    (ray,), (serve,) = commands(site["args"][0])
    check_ray(ray, address="streamreid-head-svc:6379", num_cpus=0)  # KubeRay's name of the head's service
    check_serve(serve)
    named = set(re.findall(r"\$\{(\w+)", (CONFIGS / "cams-cluster.yaml").read_text()))
    assert named <= {item["name"] for item in site["env"]}
    text = (CONFIGS / "kuberay.yaml").read_text()
    created = set(re.findall(r"--from-literal=([a-z0-9-]+)=", text))
    used = {e["valueFrom"]["secretKeyRef"]["key"] for c in containers.values() for e in c["env"] if "valueFrom" in e}
    assert used == created
