"""The stack of compose.yaml for real: a search on two workers, one of them killed, to a model in the registry."""
import json
import re
import sys

import pytest

from .stack import DOCKER, Stack, possible

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SEARCH = re.search(r"^autotricks submit (.*)$", (DOCKER / "README.md").read_text(), re.MULTILINE)[1].split()
ASK = """
import json, mlflow
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("long_tail", "champion")
runs = [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id], max_results=1000)]
model = mlflow.pyfunc.load_model("models:/long_tail@champion")
import numpy
answer = model.predict({"images": numpy.zeros((2, 8, 8, 1), numpy.uint8)})
print(json.dumps({"version": version.version, "runs": len(runs), "rows": len(answer), "said": list(answer.columns)}))
"""


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


def client(stack, *words, timeout=900, **more):
    return stack.run(*words, timeout=timeout, **{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH":
                                                 "/run/secrets/ray_token", **more})


def test_strangers_are_refused(stack):
    ask = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
    for address in ("http://127.0.0.1:8265/api/jobs/",
                    "http://127.0.0.1:5000/api/2.0/mlflow/experiments/search?max_results=1"):
        said = stack.run(sys.executable, "-c", ask, address).stderr.splitlines()[-1]
        assert "401" in said or "403" in said, said
    done = stack.run(sys.executable, "-c", "import pg8000.dbapi; pg8000.dbapi.connect('mlflow', host='postgres', "
                     "password='guess')")
    assert "password authentication failed" in done.stderr


def test_from_one_command_to_a_model_in_the_registry(stack):
    """The command is the one of docker/README.md; a worker dies while it runs."""
    done = client(stack, sys.executable, "-m", "autotricks", "submit", *SEARCH, "--json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job"]
    address = SEARCH[SEARCH.index("--address") + 1]
    wait = "until grep -q '\"kind\":\"end\"' /srv/runs/*/trials.jsonl; do sleep 0.5; done"
    assert client(stack, "sh", "-c", wait, timeout=400).returncode == 0
    stack.kill("worker2")
    said = client(stack, sys.executable, "-m", "autotricks", "logs", "--follow", job, "--address", address)
    assert said.returncode == 0, said.stdout + said.stderr
    found = stack.run(sys.executable, "-c", ASK, MLFLOW_TRACKING_URI="http://127.0.0.1:5000",
                      MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=stack.secret("mlflow_password"))
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout.splitlines()[-1])
    assert answer["rows"] == 2 and {"class", "probability"} <= set(answer["said"])
    assert answer["runs"] > 24, "a run for the search and one for each trial"
    rows = ("import pg8000.dbapi, sys; c = pg8000.dbapi.connect('mlflow', host='postgres', password=sys.argv[1])"
            ".cursor(); c.execute('select count(*) from runs'); print(c.fetchone()[0])")
    assert int(stack.run(sys.executable, "-c", rows, stack.secret("postgres_password")).stdout) == answer["runs"]
