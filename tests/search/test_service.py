"""Searches that a cluster runs by itself: what travels, who may ask, and what outlives whom."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from autotricks.errors import InputError
from autotricks.space import load_space
from autotricks.tuning.engines.ray_jobs import checked
from autotricks.workflows import submit

from . import real
from .cluster import Cluster

SET = (*real.SMALL[1:], "training.precision=fp32")     # not timed: two machines need not find the same the fastest
SMALL = [word for text in SET for word in ("--set", text)]


def test_what_travels_is_the_space_as_it_is_searched_and_nothing_beside_it(tmp_path):
    """The data and whatever lies beside the space stay; the overrides and defaults are in the file that arrives."""
    home, there = tmp_path / "home", tmp_path / "there"
    (home / ".git").mkdir(parents=True)
    (home / ".git" / "config").write_text("secret")
    (home / "photos.npz").write_bytes(b"0" * 1000)
    (home / "mine.yaml").write_text("name: mine\ndata: {source: 'npz:photos.npz'}\ntricks: {sgd: {lr: search}}\n")
    there.mkdir()
    submit.pack(load_space(home / "mine.yaml", ["search.trials=7"]), there)
    assert [path.name for path in there.rglob("*")] == ["space.yaml"]
    arrived = yaml.safe_load((there / "space.yaml").read_text())
    assert (arrived["name"], arrived["search"]["trials"], arrived["data"]["source"]) == ("mine", 7, "npz:photos.npz")


def test_a_teacher_travels_with_its_weights_and_is_named_by_its_new_place(tmp_path, monkeypatch):
    teacher, there = tmp_path / "teacher", tmp_path / "there"
    teacher.mkdir()
    for name in ("champion.yaml", "champion.safetensors", "notes.txt"):
        (teacher / name).write_text(name)
    (tmp_path / "mine.yaml").write_text(f"name: mine\ntricks: {{distillation: {{teacher: '{teacher}'}}}}\n")
    there.mkdir()
    submit.pack(load_space(tmp_path / "mine.yaml"), there)
    arrived = yaml.safe_load((there / "space.yaml").read_text())
    place = arrived["tricks"]["distillation"]["teacher"]
    assert place == "files/0-teacher"
    assert sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()) == [
        "files/0-teacher/champion.safetensors", "files/0-teacher/champion.yaml", "space.yaml"]
    assert str(tmp_path) not in (there / "space.yaml").read_text()
    monkeypatch.setattr(submit, "LARGEST", 10)
    with pytest.raises(InputError, match="travel with a search"):
        submit.pack(load_space(tmp_path / "mine.yaml"), tmp_path / "there")


def test_a_teacher_may_be_named_by_its_file_and_one_that_is_missing_is_refused(tmp_path):
    (tmp_path / "teacher").mkdir()
    for name in ("champion.yaml", "champion.safetensors"):
        (tmp_path / "teacher" / name).write_text(name)
    space = tmp_path / "mine.yaml"
    space.write_text(f"name: mine\ntricks: {{distillation: {{teacher: '{tmp_path}/teacher/champion.yaml'}}}}\n")
    submit.pack(load_space(space), tmp_path / "there")
    assert (tmp_path / "there" / "files" / "0-teacher" / "champion.safetensors").read_text() == "champion.safetensors"
    (tmp_path / "teacher" / "champion.safetensors").unlink()
    with pytest.raises(InputError, match=r"champion\.safetensors: no such file or directory\. Paths are taken"):
        submit.pack(load_space(space), tmp_path / "there")


@pytest.mark.parametrize("tricks", ["sgd: {}, pretrained: {weights: '%s'}", "group_head: {hierarchy: '%s'}",
                                    "pretrained: {weights: {choice: ['', '%s']}}"])
def test_only_what_a_trick_can_use_travels(tmp_path, tricks):
    """A space of a stranger's may name a private key as weights."""
    (tmp_path / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    (tmp_path / "mine.yaml").write_text(f"name: mine\ntricks: {{{tricks % (tmp_path / 'id_rsa')}}}\n")
    with pytest.raises(InputError, match=r"cannot be read as weights|its first line must be class,group") as caught:
        submit.pack(load_space(tmp_path / "mine.yaml"), tmp_path / "there")
    assert "c2VjcmV0" not in str(caught.value) and not (tmp_path / "there").exists()


def test_a_start_bundle_of_this_machine_is_refused(tmp_path):
    (tmp_path / "first.yaml").write_text("name: first\ntricks: {mixup: {}}\n")
    (tmp_path / "mine.yaml").write_text(f"name: mine\nstart: ['{tmp_path}/first.yaml']\ntricks: {{mixup: {{}}}}\n")
    with pytest.raises(InputError, match=r"first\.yaml is a file of this machine, which does not travel"):
        submit.pack(load_space(tmp_path / "mine.yaml"), tmp_path)


def test_the_command_is_quoted_for_the_clusters_shell(tmp_path):
    """A shell takes it apart again: no word of the user's does anything, and only the home folder is filled in."""
    asked = submit.Submission("", ("search.trials=9; touch x",), "a run; touch y", "~/my runs", ("--no-confirm",))
    line = submit.command(asked).replace("python -m autotricks", f"{sys.executable} -c 'import sys, json; "
                                         "print(json.dumps(sys.argv[1:]))'")
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "HOME": "/home/me"}).stdout
    assert json.loads(said) == ["search", "--resume", "a run; touch y", "--set", "search.trials=9; touch x",
                                "--address", "auto", "--no-confirm", "--root", "/home/me/my runs"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("given", "full"), [
    ("head", "http://head:8265"), ("head:1", "http://head:1"), ("https://head/", "https://head:443"),
    ("http://[::1]:2", "http://[::1]:2")])
def test_an_address_may_leave_out_what_goes_without_saying(given, full):
    assert checked(given) == full


@pytest.mark.parametrize("address", ["", "ray://head:10001", "http://head:99999999", "http://head/x", "auto:auto"])
def test_a_bad_address_is_one_line(here, address, monkeypatch):
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    code, out, said = here("status", "--address", address)
    assert (code, out) == (2, "") and len(said.splitlines()) == 1 and "dashboard" in said


def test_a_password_in_an_address_is_refused_and_not_repeated(here):
    code, _, said = here("list", "--address", "http://me:hunter2@head:8265")
    assert code == 2 and "RAY_AUTH_TOKEN" in said and "hunter2" not in said


def test_a_cluster_that_is_down_is_one_line(here):
    code, _, said = here("submit", "--space", "long_tail.yaml", "--address", "http://127.0.0.1:1")
    assert code == 2 and len(said.splitlines()) == 1 and "nobody answers: Connection refused" in said


def test_a_bad_space_is_refused_before_anything_is_sent(here):
    code, _, said = here("submit", "--space", "long_tail.yaml", "--set", "training.epochs=0", "--address", "nowhere:1")
    assert code == 2 and "training.epochs" in said and "nowhere" not in said


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("aiohttp_cors", reason="needs ray[default]: pip install 'autotricks[cluster]'")
    made = Cluster(cpus=1, dashboard=True)
    yield made
    made.close()


def submitted(cluster: Cluster, root: Path, *more: str) -> str:
    """Submit a small search and return its name; the process that did it is gone then."""
    done = cluster.run("submit", *more, "--address", cluster.web, "--root", str(root), "--tracking", "off",
                       "--no-confirm", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["job"]


def status(cluster: Cluster, job: str) -> dict:
    done = cluster.run("status", job, "--address", cluster.web, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_outlives_who_submitted_it(cluster, tmp_path):
    """Asked for by a process that has ended, followed by another, the search is that of the local engine."""
    job = submitted(cluster, tmp_path, "--space", "long_tail.yaml", *SMALL)
    assert re.fullmatch(r"long_tail-\d{8}-\d{6}-[0-9a-f]{4}", job)
    followed = cluster.run("logs", job, "--follow", "--address", cluster.web, timeout=400)
    assert followed.returncode == 0 and "6/6  trial" in followed.stdout and "champion.yaml" in followed.stdout
    assert "INFO" not in followed.stderr
    said = status(cluster, job)
    assert (said["status"], said["space"]) == ("SUCCEEDED", "long_tail") and said["ended"] > said["began"] > 1e9
    listed = json.loads(cluster.run("list", "--address", cluster.web, "--json").stdout)
    assert job in [row["name"] for row in listed]
    folder, = tmp_path.iterdir()
    assert real.story(folder) == real.story(real.search(tmp_path / "here", "training.precision=fp32").folder)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stop_keeps_finished_trials_and_the_search_can_be_resumed(cluster, tmp_path):
    job = submitted(cluster, tmp_path, "--space", "long_tail.yaml", *SMALL, "--trials", "40")
    until = time.monotonic() + 300
    while not any('"kind":"end"' in path.read_text() for path in tmp_path.glob("*/trials.jsonl")):
        assert time.monotonic() < until
        time.sleep(0.2)
    done = cluster.run("stop", job, "--address", cluster.web)
    assert done.returncode == 0 and "STOPPED" in done.stdout
    folder, = tmp_path.iterdir()
    kept = [line for line in real.story(folder) if line[2]]
    assert len(kept) in range(1, 40)
    submitted(cluster, tmp_path, "--resume", "latest")
    until = time.monotonic() + 300
    while len(ended := [line for line in real.story(folder) if line[2]]) <= len(kept):
        assert time.monotonic() < until
        time.sleep(0.5)
    assert ended[:len(kept)] == kept and [line[0] for line in ended] == list(range(len(ended)))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "f" * 32},
                                    {"RAY_AUTH_TOKEN_PATH": "/nowhere"}], ids=["none", "wrong", "missing"])
def test_a_client_without_the_token_is_refused(cluster, change):
    environment = {name: value for name, value in cluster.environment().items() if not name.startswith("RAY_")}
    done = subprocess.run(real.command("submit", "--space", "long_tail.yaml", "--address", cluster.web), text=True,
                          env={**environment, **change}, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "Ray refuses" in done.stderr and "f" * 32 not in done.stderr


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_unknown_job_is_one_line(cluster):
    done = cluster.run("stop", "nonesuch", "--address", cluster.web)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "knows no such search" in done.stderr
