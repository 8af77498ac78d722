"""How much faster one search is on two and three worker nodes than on one: `python benchmarks/nodes.py`.

Each node is a process tree of Ray's with an object store and one slot of its own, started on this machine beside a head
that trains nothing; so it takes a core for each node and one for the head. The search is the same on all: bundles of
`long_tail.yaml` drawn at random and trained to the end, so that the work does not depend on the order in which trials
end. Timed is the whole command, and from the first training step to the end of the last trial.
"""
from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))       # whose tests start clusters

from machine import QUIET, Watch, parser, spread  # noqa: E402

EPOCHS = 40


def measured(nodes: int, trials: int) -> dict[str, Any]:
    """Return what a search on so many worker nodes says of itself, and what each of its trials scored."""
    from tests.search.cluster import Cluster

    cluster = Cluster(cpus=0)
    try:
        for _ in range(nodes):
            cluster.add(cpus=1)
        cluster.full(nodes)
        with tempfile.TemporaryDirectory() as root:
            settings = (f"training.epochs={EPOCHS}", f"search.rungs.first={EPOCHS}", "search.sampler=random",
                        "training.precision=fp32", f"search.trials={trials}")
            began = time.monotonic()
            done = cluster.run("search", "--space", "long_tail.yaml", "--address", cluster.address, "--json",
                               "--no-confirm", "--tracking", "off", "--root", root,
                               *[word for text in settings for word in ("--set", text)], timeout=580)
            if done.returncode:
                raise SystemExit(done.stderr)
            said = json.loads(done.stdout)
            lines = [json.loads(line) for line in (Path(said["folder"]) / "trials.jsonl").read_text().splitlines()]
            return {"command": time.monotonic() - began, "cpu": said["training_seconds"],
                    "training": said["searching_seconds"] - said["warming_seconds"],
                    "scores": {line["trial"]: line["score"] for line in lines if line["kind"] == "end"}}
    finally:
        cluster.close()


def main() -> int:
    """Measure each number of nodes in turn, several times, and print the table."""
    words = parser(__doc__)
    words.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3])
    words.add_argument("--trials", type=int, default=24)
    words.add_argument("--repeats", type=int, default=3)
    given = words.parse_args()
    with Watch() as watch:
        time.sleep(2)
    if not watch.quiet and not given.anyway:
        print(f"no conclusion: other processes use {watch.others:.2f} cores; at most {QUIET} are allowed. --anyway")
        return 3
    trials, repeats = (6, 1) if given.quick else (given.trials, given.repeats)
    found: dict[int, list[dict[str, Any]]] = {nodes: [] for nodes in given.nodes}
    for _ in range(repeats):
        for nodes in given.nodes:
            found[nodes].append(measured(nodes, trials))
            assert found[nodes][-1]["scores"] == found[given.nodes[0]][0]["scores"], "not the same search"
    print(f"{trials} trials of {EPOCHS} epochs, median of {repeats}; the same scores on all\n"
          f"{'nodes':>5} {'trials (s)':>10} {'command (s)':>11} {'CPU (s)':>7} {'speed-up':>8} {'efficiency':>10}")
    first = given.nodes[0]
    for nodes, runs in found.items():
        wall, command, cpu = (spread(run[name] for run in runs).median for name in ("training", "command", "cpu"))
        faster = spread(run["training"] for run in found[first]).median / wall * first
        print(f"{nodes:>5} {wall:>10.1f} {command:>11.1f} {cpu:>7.1f} {faster:>8.2f} {faster / nodes:>10.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
