"""A node of a two-node Ray cluster that goes away, a driver that dies on it, and a disk that is full."""
import os
import signal
import threading

import pytest

from autotricks.workflows import search as experiment

from ..search import real
from . import kept
from .test_driver import count, kill, start, until
from .test_every_write import disk, fill  # noqa: F401

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(400)]


class Remover:
    """A listener that takes a node away when the third trial begins."""

    def __init__(self, cluster, node, injected):
        self.cluster, self.node, self.injected, self.thread = cluster, node, injected, None

    def started(self, trial):
        if trial.number == 3 and not self.thread:
            self.thread = threading.Thread(target=self.cluster.remove_node, args=(self.node, False))
            self.thread.start()
            self.injected("Ray node lost (F17)")

    def reached(self, trial, outcome, budget, score):
        pass

    def ended(self, trial, end, score):
        pass


def test_node_lost(tmp_path, injected, capfd):
    """Each node holds one trial; when one node goes, its trial goes on elsewhere, and nothing that ended is lost."""
    import ray
    from ray.cluster_utils import Cluster

    from autotricks.tuning.engines.ray_cluster import RAY_ENV

    os.environ.update({name: value for name, value in RAY_ENV.items() if name not in os.environ})
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        options = experiment.Options(tmp_path, address=cluster.address, tracking="off", confirm=False)
        remover = Remover(cluster, node, injected)
        result = experiment.search(real.small("search.engine=ray", "search.parallel=2", "search.trials=10"), options,
                                   [remover])
        remover.thread.join(60)
        kept.ledger_goes_on([], result.folder)
        assert [trial.number for trial in real.trials(result.folder)] == list(range(10))
        assert {trial.end for trial in real.trials(result.folder)} <= {"finished", "stopped", "diverged"}
        assert "Traceback" not in "".join(capfd.readouterr())
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert real.gone(lambda: real.below(os.getpid()), 20)


def goes_on(root, whole):
    """See that a search that was stopped comes to what one without a fault comes to."""
    folder = next(root.iterdir())
    before = kept.lines(folder)
    again = start(root, resume=folder)
    assert again.communicate(timeout=200)[1] == "" and again.returncode == 0
    kept.ledger_goes_on(before, folder)
    kept.as_unbroken(folder, whole)


def test_driver_killed_on_ray(finished, tmp_path, injected):
    driver = start(tmp_path, "search.engine=ray")
    assert until(driver, lambda: count(tmp_path) > 9)
    kill(driver)
    injected("driver killed on Ray (F2)")
    goes_on(tmp_path, finished.folder)


@pytest.mark.parametrize("daemon", ["raylet", "gcs_server"])
def test_ray_itself_killed(finished, tmp_path, daemon, injected):
    """Ray then ends the driver from its own code, with its own words; what had finished is kept."""
    driver = start(tmp_path, "search.engine=ray")
    assert until(driver, lambda: count(tmp_path) > 9)
    its = real.of_session(driver.pid)
    number, = (number for number, words in its.items() if words.split()[0].endswith(f"/{daemon}"))
    os.kill(number, signal.SIGKILL)
    injected(f"{daemon} killed (F17)")
    errors = driver.communicate(timeout=200)[1]
    assert driver.returncode == 1 and "Traceback" not in errors
    assert real.gone(lambda: real.of_session(driver.pid), 90)      # Ray gives its own processes a minute
    goes_on(tmp_path, finished.folder)


@pytest.mark.parametrize("left", [30, 110])
def test_full_disk_on_ray(finished, disk, left, injected):  # noqa: F811
    ballast = fill(disk, left * 4096)
    root = disk / "runs"
    driver = start(root, "search.engine=ray")
    errors = driver.communicate(timeout=200)[1]
    injected("disk full on Ray (F5)")
    ballast.unlink()
    if driver.returncode:
        assert driver.returncode == 1 and len(errors.splitlines()) == 1 and "space" in errors, errors
    goes_on(root, finished.folder)
