"""Copies of runs: on a shared path, and in a bucket of a real server that speaks S3."""
import shutil
import subprocess
import time
import urllib.request

import pytest

from autotricks.errors import InputError, RunError
from autotricks.runs import mirror

from .search import real
from .search.cluster import free_port

SMALL = [word for text in (*real.SMALL, "search.trials=3") for word in ("--set", text)]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")}


def run_of(folder):
    """Write what a search leaves behind, as far as a copy is concerned; return the folder."""
    (folder / "teachers" / "0-t").mkdir(parents=True)
    (folder / "ray" / "deep").mkdir(parents=True)
    for name, text in {"space.yaml": "name: s\n", "trials.jsonl": "{}\n", "teachers/0-t/champion.yaml": "t",
                       "ray/deep/state.pkl": "x", ".lock": ""}.items():
        (folder / name).write_text(text)
    return folder


def copied(address, folder):
    copy = mirror.Copy(address)
    copy.began(folder)
    return copy.close()


def test_everything_but_rays_own_and_the_lock_is_copied_and_comes_back(tmp_path):
    run, address = run_of(tmp_path / "runs" / "one"), f"file://{tmp_path}/shared"
    assert copied(address, run) == ""
    there = contents(tmp_path / "shared" / "one")
    assert there == {"space.yaml": b"name: s\n", "trials.jsonl": b"{}\n", "teachers/0-t/champion.yaml": b"t"}
    back = mirror.fetched(f"{address}/one", tmp_path / "other")
    assert back == tmp_path / "other" / "one" and contents(back) == there
    (back / "trials.jsonl").write_text("more\n")
    assert mirror.fetched(f"{address}/one", tmp_path / "other") == back, "what is here is newer"
    assert (back / "trials.jsonl").read_text() == "more\n"


def test_what_changes_is_copied_while_the_search_goes_on_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "EVERY", 0.05)
    run, there = run_of(tmp_path / "one"), tmp_path / "shared" / "one"
    copy = mirror.Copy(f"file://{tmp_path}/shared")
    copy.began(run)
    copy.ended(None, None, None)
    wait(lambda: (there / "trials.jsonl").exists())
    (there / "space.yaml").write_text("not touched again")
    (run / "trials.jsonl").write_text("{}\n{}\n")
    copy.reached(None, None, 1, 0.5)
    wait(lambda: (there / "trials.jsonl").read_text() == "{}\n{}\n")
    assert copy.close() == "" and (there / "space.yaml").read_text() == "not touched again"


def wait(true, seconds=10):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(("address", "said"), [
    ("shared/runs", "not an address"), ("ftp://host/runs", "Unrecognized filesystem type"),
    ("s3://key:hunter2@bucket/runs", "holds a key or password"), ("file:///proc/nonesuch", "No such file"),
    ("s3://bucket/runs?secret_key=hunter2", "holds a key or password")])
def test_a_storage_that_cannot_be_used_is_one_line(here, address, said):
    code, out, line = here("search", "--space", "long_tail.yaml", *SMALL, "--storage", address)
    assert (code, out) == (2, "") and line.count("\n") == 1 and said in line and "hunter2" not in line


def test_a_bucket_is_no_root(here):
    code, out, line = here("search", "--space", "long_tail.yaml", "--root", "s3://bucket/runs")
    assert (code, out) == (2, "") and line.count("\n") == 1 and "--storage keeps a copy of it in a bucket" in line


def test_images_of_an_address_are_refused(here):
    code, out, line = here("data", "check", "image_folder:s3://bucket/photos")
    assert (code, out) == (2, "") and line.count("\n") == 1 and "an address; images are read from files" in line


def test_a_place_without_a_run_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"no run lies there; it would hold space\.yaml and trials\.jsonl"):
        mirror.fetched(f"file://{tmp_path}/nowhere", tmp_path)


def test_a_storage_that_goes_away_is_one_line_and_stops_nothing(tmp_path):
    run = run_of(tmp_path / "one")
    copy = mirror.Copy(f"file://{tmp_path}/shared")
    shutil.rmtree(tmp_path / "shared")
    (tmp_path / "shared").write_text("a file now")
    copy.began(run)
    line = copy.close()
    assert line.startswith(f"file://{tmp_path}/shared did not take everything: ") and line.endswith(f"of it: {run}")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Give the address of a bucket of a real server."""
    server = shutil.which("moto_server")
    if server is None:
        pytest.skip("needs a server that speaks S3: pip install 'moto[server,s3]'")
    port = free_port()
    with (tmp_path / "server.log").open("w") as log:
        running = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    for name, value in {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1",
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    try:
        def made():
            try:
                return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/kept", method="PUT"),
                                              timeout=5).status == 200
            except OSError:
                return False
        wait(made, 60)
        yield "s3://kept/all"
    finally:
        running.kill()
        running.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_lost_with_its_machine_goes_on_from_a_bucket(bucket, tmp_path):
    """The run's folder is deleted; another root resumes from the bucket, keeps what was done and adds to it."""
    first = real.run("search", "--space", "long_tail.yaml", *SMALL, "--no-confirm", "--tracking", "off",
                     "--root", str(tmp_path / "lost"), "--storage", bucket)
    assert first.returncode == 0, first.stderr
    folder, = (tmp_path / "lost").iterdir()
    before = real.story(folder)
    shutil.rmtree(tmp_path / "lost")
    again = real.run("search", "--resume", f"{bucket}/{folder.name}", "--add-trials", "2", "--no-confirm",
                     "--tracking", "off", "--root", str(tmp_path / "found"), "--storage", bucket)
    assert again.returncode == 0, again.stderr
    after = real.story(tmp_path / "found" / folder.name)
    assert after[:3] == before and len(after) == 5 and after[4][2]
    third = mirror.fetched(f"{bucket}/{folder.name}", tmp_path / "third")
    assert real.story(third) == after and (third / "champion.safetensors").exists()
    assert "hush" not in "".join(path.read_text(errors="replace") for path in third.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_one_line(bucket):
    with pytest.raises(InputError) as caught:
        mirror.opened("s3://nonesuch/runs")
    assert len(caught.value.problems) == 1 and "nonesuch" in str(caught.value)
