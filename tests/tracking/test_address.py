"""Addresses of tracking servers: what is refused before anything trains, and that no secret is shown."""
import pytest

from autotricks.errors import InputError
from autotricks.tracking.address import check, redacted

from .conftest import search

PLANTED = "s3cr3t-hunter2"


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:5000", "https://mlflow.example.org/team", "http://[::1]:5000", "sqlite:////tmp/mlflow.db",
    "postgresql://me@db/mlflow", "postgresql+psycopg2://me@db:5432/mlflow", "databricks", "file:///tmp/mlruns"])
def test_taken(address):
    if address == "databricks":
        address += "://profile"
    check(address)
    assert redacted(address) == address.replace("me@", "")


@pytest.mark.parametrize(("address", "said"), [
    (f"http://me:{PLANTED}@127.0.0.1:9", "MLFLOW_TRACKING_PASSWORD"),
    (f"https://{PLANTED}@host", "MLFLOW_TRACKING_TOKEN"),
    (f"https://host/?token={PLANTED}", "MLFLOW_TRACKING_TOKEN"), (f"https://host/?a=1&api_key={PLANTED}", "TOKEN"),
    (f"postgresql://me:{PLANTED}@db/mlflow", "PGPASSWORD"), (f"mysql://db/m?password={PLANTED}", "holds a password"),
    (f"http://me:{PLANTED}@@host", "holds a name"), (f"http://u:pa/{PLANTED}@host", "not an address"),
    (f"http://u:1/{PLANTED}@host", "holds a name"), (f"http://u:a {PLANTED}@host", "MLFLOW_TRACKING_TOKEN"),
    (f"user:{PLANTED}@host:5000", "not an address of MLflow's"), (f"http:/user:{PLANTED}@host", "not an address"),
    (f"postgresql://u:pw/{PLANTED}@h/db", "not an address"), (f"postgresql://u:12/{PLANTED}@h/db", "PGPASSWORD"),
    (f"https://host/?sig={PLANTED}", "holds a name"), (f"https://host/#{PLANTED}", "holds a name"),
    (f"https://host/?acces_tok%65n={PLANTED}", "holds a name"), (f"mysql://db/m?acces_tok%65n={PLANTED}", "password"),
    (f"mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3D{PLANTED}", "holds a password"),
    ("localhost:5000", "not an address of MLflow's"), ("http://", "not an address"),
    ("http://host:port", "not an address"),
    ("mlruns", "Write http://HOST:PORT"), ("http://[::1", "not an address"), ("gopher://host", "not an address of")])
def test_refused(address, said):
    with pytest.raises(InputError) as caught:
        check(address)
    (line,) = caught.value.problems
    assert said in line and PLANTED not in line and caught.value.exit_code == 2


def test_a_search_refuses_it_before_it_leaves_anything(tmp_path):
    with pytest.raises(InputError, match="holds a name, password or token"):
        search(tmp_path, f"http://me:{PLANTED}@127.0.0.1:9")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "shown"), [
    (f"no answer from http://me:{PLANTED}@host:80/x, retry", "no answer from http://host:80/x, retry"),
    (f"GET /?token={PLANTED}&page=2 failed", "GET /?token=...&page=2 failed"), ("a@b.org", "a@b.org"),
    (f"at http://u:pa/{PLANTED}@host", "at http://host"), (f"GET /?acces_tok%65n={PLANTED}", "GET /?acces_tok%65n=..."),
    (f"GET /?sv=1&sig={PLANTED}", "GET /?sv=1&sig=..."),
    (f"postgresql://me:{PLANTED}@db/m", "postgresql://db/m")])
def test_redacted(text, shown):
    assert redacted(text) == shown
