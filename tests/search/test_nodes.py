"""One search on clusters of several nodes: the same answer, spread over them, though one of them dies."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from .. import hub
from . import real
from .cluster import Cluster
from .test_service import SET, SMALL

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
SPREAD = [word for text in (*SET, "search.parallel=null", "search.trials=16", "training.epochs=8")
          for word in ("--set", text)]
HIDDEN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"')   # a node without this folder


# a node that does not see the cache and asks no hub
OFFLINE = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec env HF_HUB_OFFLINE=1 HF_HOME="$0" "$@"')


@pytest.fixture
def clusters():
    """Make clusters that end with the test."""
    made = []

    def make(*cpus: int) -> Cluster:
        made.append(Cluster(cpus[0]))
        for count in cpus[1:]:
            made[0].add(cpus=count)
        made[0].full(sum(cpus))
        return made[0]
    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same search on this machine's own workers."""
    return real.search(tmp_path_factory.mktemp("alone"), "training.precision=fp32")


def words(cluster: Cluster, root, *more: str) -> list[str]:
    return ["search", *more, "--address", cluster.address, "--root", str(root), "--tracking", "off", "--no-confirm"]


def trainers(node: subprocess.Popen) -> set[int]:
    return {number for number, command in real.below(node.pid).items() if command.startswith("ray::ResourceTrainable")}


def scores(folder) -> dict[tuple[str, int], float]:
    """Return the score of each (bundle, rung)."""
    return {(trial.hash, line["rung"]): line["metrics"][real.METRIC] for trial in real.trials(folder)
            for line in trial.rungs}


@pytest.mark.parametrize("nodes", [2, 3])
def test_several_nodes_and_one_slot_search_as_this_machine_does(clusters, tmp_path, alone, nodes):
    """The head can hold no trial, so every one is trained by another node, from data out of that node's store."""
    cluster = clusters(0, *[1] * (nodes - 1))
    done = cluster.run(*words(cluster, tmp_path, "--space", "long_tail.yaml", *SMALL))
    assert done.returncode == 0, done.stdout + done.stderr
    folder, = tmp_path.iterdir()
    assert real.story(folder) == real.story(alone.folder)
    assert (folder / "champion.safetensors").read_bytes() == (alone.folder / "champion.safetensors").read_bytes()


def test_trials_spread_over_nodes_and_a_node_that_dies_takes_none_with_it(clusters, tmp_path):
    """What was on disk when the node died is there at the end, once; what it was training is trained elsewhere."""
    cluster = clusters(1, 1, 1)
    started = subprocess.Popen(real.command(*words(cluster, tmp_path / "hurt", "--space", "long_tail.yaml", *SPREAD)),
                               env=cluster.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    busy: set[int] = set()
    until, victim = time.monotonic() + 300, cluster.nodes[2]
    while len(busy) < 3 or not list(tmp_path.glob("hurt/*/trials.jsonl")) or len(before(tmp_path)) < 4:
        assert time.monotonic() < until and started.poll() is None, started.communicate()[0]
        busy |= {place for place, node in enumerate(cluster.nodes) if trainers(node)}
        time.sleep(0.1)
    known = before(tmp_path)
    cluster.kill(victim)
    said = started.communicate(timeout=400)[0]
    assert started.returncode == 0, said
    folder, = (tmp_path / "hurt").iterdir()
    past = real.trials(folder)
    assert [trial.number for trial in past] == list(range(16)) and all(trial.end for trial in past)
    assert {trial.end for trial in past} <= {"finished", "stopped", "diverged"}
    lines = real.read(folder / real.LEDGER)[0]
    assert lines[:len(known)] == known
    reached = [(line["trial"], line["rung"]) for line in lines if line["kind"] == "rung"]
    assert len(set(reached)) == len(reached)
    whole = real.search(tmp_path / "whole", "search.trials=16", "training.epochs=8", "training.precision=fp32")
    same, here = scores(folder), scores(whole.folder)
    shared = set(same) & set(here)
    assert len(shared) >= 20 and all(same[place] == here[place] for place in shared)


def before(root):
    folder, = (root / "hurt").iterdir()
    return real.read(folder / real.LEDGER)[0]


def require_hiding():
    if os.geteuid() or not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"],
                                                                     check=False).returncode:
        pytest.skip("hiding a folder from a process needs root and Linux")


@pytest.fixture
def hiding(clusters, tmp_path):
    """A cluster whose only node that trains does not see the data's folder."""
    require_hiding()
    (tmp_path / "data").mkdir()
    cluster = clusters(0)
    cluster.add(*HIDDEN, str(tmp_path / "data"), cpus=1)
    cluster.full(1)
    return cluster


def test_data_in_memory_reach_a_node_that_does_not_see_their_file(hiding, tmp_path):
    chance = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = (chance.integers(0, 100, (120, 8, 8, 1)) + 70 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "data" / "made.npz", x_train=images, y_train=labels)
    done = hiding.run(*words(hiding, tmp_path / "runs", "--space", "long_tail.yaml", *SMALL, "--data",
                             f"npz:{tmp_path / 'data' / 'made.npz'}", "--set", "data.imbalance=null", "--trials", "3"))
    assert done.returncode == 0, done.stdout + done.stderr
    folder, = (tmp_path / "runs").iterdir()
    assert [trial.end for trial in real.trials(folder)].count("finished") >= 2


def test_a_streamed_folder_that_a_node_does_not_see_is_one_line_that_names_the_node(hiding, tmp_path):
    from PIL import Image

    chance = np.random.default_rng(0)
    for number in range(60):
        target = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (8, 8), np.uint8)).save(target)
    done = hiding.run(*words(hiding, tmp_path / "runs", "--space", "long_tail.yaml", *SMALL, "--data",
                             f"image_folder:{tmp_path / 'data'}", "--set", "data.imbalance=null",
                             "--set", "data.memory=0"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1 and re.search(r"the node \S+ \([\d.]+, [0-9a-f]{8}\) does not see "
                                                            + re.escape(str(tmp_path / "data")), done.stderr)


def test_a_teacher_reaches_a_node_that_sees_neither_its_files_nor_the_run(hiding, tmp_path, alone):
    """Every trial, and every fresh seed, has the figures of a search on one machine that reads the teacher itself."""
    hidden = tmp_path / "data"
    for name in ("champion.yaml", "champion.safetensors"):
        (hidden / "teacher").mkdir(exist_ok=True)
        shutil.copy(alone.folder / name, hidden / "teacher")
    taught = ["tricks.distillation={always: true, start: 0, teacher: '" + str(hidden / "teacher") + "'}",
              "confirm.top=1", "confirm.seeds=2"]
    asked = words(hiding, hidden / "runs", "--space", "long_tail.yaml", *SMALL, "--trials", "3",
                  *[word for text in taught for word in ("--set", text)])
    asked.remove("--no-confirm")
    done = hiding.run(*asked)
    assert done.returncode == 0, done.stdout + done.stderr
    folder, = (hidden / "runs").iterdir()
    here = real.search(tmp_path / "here", "training.precision=fp32", "search.trials=3", *taught)
    assert told(folder) == told(here.folder) != told(alone.folder)[:3]
    assert len(json.loads((folder / "confirm.json").read_text())["seeds"]) == 2
    assert str(folder / "teachers") in (folder / "champion.yaml").read_text(), "which outlives a job's own files"
    assert (folder / "teachers" / "0-teacher" / "champion.safetensors").read_bytes() == (
        alone.folder / "champion.safetensors").read_bytes()


def told(folder):
    """Return the story without the hashes, which know where a teacher lies."""
    return [(number, end, rungs) for number, _, end, rungs in real.story(folder)]


def test_two_searches_share_a_cluster_and_neither_changes_the_other(clusters, tmp_path, alone):
    cluster = clusters(0, 1, 1)
    both = [subprocess.Popen(real.command(*words(cluster, tmp_path / name, "--space", "long_tail.yaml", *SMALL)),
                             env=cluster.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for name in "ab"]
    at_once = False
    while any(one.poll() is None for one in both):
        at_once |= all(trainers(node) for node in cluster.nodes[1:])
        time.sleep(0.2)
    assert [one.communicate()[0] for one in both if one.returncode] == [] and at_once
    for name in "ab":
        folder, = (tmp_path / name).iterdir()
        assert real.story(folder) == real.story(alone.folder)


ASK = """
import json, ray, sys
from autotricks.errors import ResourceError
from autotricks.tuning.engines.ray_tune import slots
ray.init(address=sys.argv[1], log_to_driver=False)
def held(cpu, gpu, parallel=None):
    try:
        return slots({"cpu": cpu, "gpu": gpu}, parallel)
    except ResourceError as error:
        return str(error)
print(json.dumps([held(1, 0), held(2, 0), held(1, 0.5), held(0.5, 0.25), held(1, 1), held(1, 0, 2), held(4, 0),
                  held(1, 2)]))
"""


def test_each_node_of_an_uneven_cluster_holds_what_fits_on_it_alone(clusters):
    """Nodes of 1 core, of 3 cores, and of 2 cores with a GPU that Ray is told of; nothing is cut across nodes."""
    cluster = clusters(1, 3)
    cluster.add(cpus=2, options=("--num-gpus", "1"))
    cluster.full(6)
    done = subprocess.run([sys.executable, "-c", ASK, cluster.address], env=cluster.environment(), text=True,
                          capture_output=True, timeout=120, check=True)
    *fit, cores, gpus = json.loads(done.stdout.splitlines()[-1])
    assert fit == [6, 2, 2, 4, 1, 2]
    assert "no node of the Ray cluster has 4 CPUs and 0 GPUs for one trial" in cores and "2 GPUs" in gpus


def test_a_node_without_network_and_cache_trains_from_published_weights(clusters, tmp_path, monkeypatch):
    """The head fetches them once; they reach the node that trains with the data."""
    require_hiding()
    cache = tmp_path / "hub"
    cache.mkdir()
    space = tmp_path / "toy.yaml"
    space.write_text("name: toy\ndata: {source: digits, channels: 3}\nmodel: {name: 'timm:hf-hub:me/toy', pretrained: "
                     "true}\ntraining: {epochs: 2, precision: fp32}\nsearch: {trials: 3, rungs: {first: 1}}\n"
                     "confirm: {top: 1, seeds: 2}\ntricks: {adamw: {lr: 0.001}, linear_probe: {}}\n")
    with hub.serving({"me/toy": hub.repository("test_vit", img_size=32)}) as served:
        cluster = clusters(0)
        cluster.add(*OFFLINE, str(cache), cpus=1)
        cluster.full(1)
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_HOME", str(cache))
        done = cluster.run("search", "--space", str(space), "--address", cluster.address, "--root",
                           str(tmp_path / "runs"), "--tracking", "off")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [file for _, file in served.fetched].count("model.safetensors") == 1
    folder, = (tmp_path / "runs").iterdir()
    assert {trial.end for trial in real.trials(folder)} <= {"finished", "stopped"} and "Confirmed" in done.stdout
    assert "revision: '5f0c7b8c1f4f" in (folder / "champion.yaml").read_text()
