"""The stack of compose.yaml for real: a search on two workers, one of them killed, to a model in the registry."""
import json
import re
import sys

import pytest
import yaml

from .stack import DOCKER, Stack, possible

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
# What docker/README.md has its reader type, by the heading above it; what begins with `docker ` needs an engine.
TYPED = {heading: [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
         for heading, text in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (DOCKER / "README.md").read_text(),
                                         re.MULTILINE | re.DOTALL)}
ASK = """
import json, mlflow, numpy
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("long_tail", "champion")
runs = [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id], max_results=1000)]
model = mlflow.pyfunc.load_model("models:/long_tail@champion")
answer = model.predict({"images": numpy.zeros((2, 8, 8, 1), numpy.uint8)})
print(json.dumps({"version": version.version, "runs": len(runs), "rows": len(answer), "said": list(answer.columns)}))
"""
TRAINED = "grep -q '\"kind\":\"end\"' /srv/runs/*/trials.jsonl"


@pytest.fixture(scope="module")
def stack():
    pytest.importorskip("aiohttp_cors", reason="needs pip install 'autotricks[cluster,server]'")
    pytest.importorskip("pg8000", reason="needs pip install 'autotricks[cluster,server]'")
    if possible():
        pytest.skip(possible())
    made = Stack()
    try:
        made.initialize()
        for service in ("postgres", "mlflow", "head"):
            made.start(service)
            made.healthy(service)
        for number in (1, 2):
            made.start("worker", f"worker{number}")
        yield made
    finally:
        made.close()


def typed(stack, *lines, timeout=900):
    """Type lines of the README into one shell, from the folder that holds docker/."""
    return stack.run("sh", "-euc", "\n".join(lines), timeout=timeout)


def exports(heading):
    return [line for line in TYPED[heading] if line.startswith("export ")]


def test_strangers_are_refused(stack):
    ask = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
    for address in ("http://127.0.0.1:8265/api/jobs/",
                    "http://127.0.0.1:5000/api/2.0/mlflow/experiments/search?max_results=1"):
        said = stack.run(sys.executable, "-c", ask, address).stderr.splitlines()[-1]
        assert "401" in said or "403" in said, said
    done = stack.run(sys.executable, "-c", "import pg8000.dbapi; pg8000.dbapi.connect('mlflow', host='postgres', "
                     "password='guess')")
    assert "password authentication failed" in done.stderr


def test_what_the_readme_has_one_type_is_known():
    """A line that is new there is run below, or this test is told why it is not."""
    start, search, results, stop = (TYPED[heading] for heading in ("Start", "Search", "Results", "Stop"))
    assert start[0] == "docker/secrets.sh" and all(line.startswith("docker compose ") for line in start[1:] + stop)
    assert [line.split()[:2] for line in search[1:]] == [["autotricks", word] for word in (
        "submit", "logs", "status", "list")]
    assert [line.split()[0] for line in results] == ["export", "export", "python", "mlflow", "autotricks", "docker"]


def test_the_readmes_commands_lead_to_a_model_in_the_registry_though_a_worker_dies(stack):
    """The lines of docker/README.md, word for word, in its order; a worker is killed while the search runs."""
    submit, logs, status, listing = TYPED["Search"][1:]
    done = typed(stack, *exports("Search"), submit)
    assert done.returncode == 0, done.stderr
    job = done.stdout.splitlines()[0]
    assert stack.run("sh", "-c", f"until {TRAINED}; do sleep 0.5; done", timeout=400).returncode == 0
    stack.kill("worker2")
    said = typed(stack, *exports("Search"), logs, status, listing)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count(job) >= 2 and "SUCCEEDED" in said.stdout
    assert "Registered: long_tail/1 is the champion" in said.stdout, said.stdout[-3000:]
    loaded = typed(stack, *exports("Results"), TYPED["Results"][2])
    assert loaded.returncode == 0 and "mlflow.pyfunc" in loaded.stdout, loaded.stderr
    found = typed(stack, *exports("Results"), f"python -c '{ASK}'")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout.splitlines()[-1])
    assert answer["rows"] == 2 and {"class", "probability"} <= set(answer["said"])
    assert answer["runs"] > 24, "a run for the search and one for each trial"
    rows = ("import pg8000.dbapi, sys; c = pg8000.dbapi.connect('mlflow', host='postgres', password=sys.argv[1])"
            ".cursor(); c.execute('select count(*) from runs'); print(c.fetchone()[0])")
    assert int(stack.run(sys.executable, "-c", rows, stack.secret("postgres_password")).stdout) == answer["runs"]


def test_the_champion_is_downloaded_and_trained_elsewhere_to_the_same_score(stack):
    """Bundle and weights come from the registry; the same seed on the same data gives the registered figure."""
    done = typed(stack, *exports("Results"), *TYPED["Results"][3:5])
    assert done.returncode == 0, done.stdout + done.stderr
    registered, again = (yaml.safe_load(path.read_text())["result"]["metrics"] for path in (
        stack.folder / "champion" / "data" / "bundle" / "champion.yaml", stack.folder / "trained" / "champion.yaml"))
    assert again["val/balanced_accuracy"] == registered["val/balanced_accuracy"]
