"""What machines are like: an output that lacks letters, a deep folder of temporary files, a program without a guard."""
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autotricks.cli.app import _print_any_letter
from autotricks.errors import ResourceError
from autotricks.system import short_paths
from tests.data.pictures import folder

WORKER = ("from autotricks.system.workers import forked\n"
          "print('program')\n"
          "worker = forked([]).Process(target=abs, args=(1,))\n"
          "worker.start()\nworker.join()\nprint(worker.exitcode, '__file__' in globals())\n")


def deep(folder, length=140):
    """Return a folder whose path has so many letters, such as batch systems name TMPDIR."""
    path = str(folder)
    while len(path) + 61 < length:
        path = os.path.join(path, "x" * 60)
    path = os.path.join(path, "y" * (length - len(path) - 1))
    os.makedirs(path)
    assert len(path) == length
    return path


def test_letters_that_the_output_lacks_are_written_as_numbers(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252"))
    monkeypatch.setattr(sys, "stderr", None)        # as where the caller closed it
    _print_any_letter()
    print("œuf 卵")
    sys.stdout.flush()
    assert written.getvalue() == b"\x9cuf \\u5375\n"


@pytest.mark.slow
def test_classes_of_other_letters_are_listed_wherever(tmp_path):
    folder(tmp_path / "фото", {"œuf": 12, "卵": 12, "żółw": 12})
    ran = subprocess.run([sys.executable, "-m", "autotricks", "data", "check", f"image_folder:{tmp_path}/фото"],
                         env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert ran.returncode == 0 and ran.stderr == b""
    assert b"\\u5375" in ran.stdout and b"\x9cuf" in ran.stdout and b"\\u017c\xf3\\u0142w" in ran.stdout


def test_a_short_folder_is_taken_only_where_the_usual_one_is_too_deep(tmp_path, monkeypatch):
    tail = "pymp-xxxxxxxx/listener-xxxxxxxx"
    monkeypatch.setattr(tempfile, "tempdir", deep(tmp_path))
    found = short_paths.folder_for(tail)
    assert found in short_paths.SHORT and len(f"{found}/{tail}") <= 103
    with short_paths.temporary_files_in(found):
        assert tempfile.gettempdir() == found
    assert len(tempfile.gettempdir()) == 140
    with tempfile.TemporaryDirectory(dir=short_paths.SHORT[0]) as near:
        fits = deep(Path(near), 103 - len(tail) - 1)
        monkeypatch.setattr(tempfile, "tempdir", fits)
        assert short_paths.folder_for(tail) == fits and short_paths.folder_for(f"{tail}x") != fits


def test_no_short_folder_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", deep(tmp_path))
    monkeypatch.setattr(short_paths, "SHORT", (str(tmp_path / "missing"),))
    with pytest.raises(ResourceError, match=r"^TMPDIR=.*Set TMPDIR to a folder whose path is shorter than 72") as e:
        short_paths.folder_for("pymp-xxxxxxxx/listener-xxxxxxxx")
    assert len(e.value.problems) == 1


def test_workers_start_where_the_folder_of_temporary_files_lies_deep(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(f"if __name__ == '__main__':\n    exec({WORKER!r})\n")
    ran = subprocess.run([sys.executable, path], env={**os.environ, "TMPDIR": deep(tmp_path)}, capture_output=True,
                         text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("program\n0 True\n", "")


@pytest.mark.ray
def test_ray_starts_where_the_folder_of_temporary_files_lies_deep(tmp_path):
    program = ("import ray\nfrom autotricks.tuning.engines.ray_cluster import connect\nconnect(cpus=1)\n"
               "print(ray.get(ray.remote(lambda: 7).remote()))\n")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_TMPDIR"}
    ran = subprocess.run([sys.executable, "-c", program], env={**environment, "TMPDIR": deep(tmp_path)},
                         capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout == "7\n" and "AF_UNIX" not in ran.stderr


@pytest.mark.parametrize(("text", "said"), [
    (WORKER, ["program", "0 True"]),
    (f"print(__name__)\nif __name__ == '__main__':\n    exec({WORKER!r})\n",
     ["__main__", "program", "__mp_main__", "0 True"])])
def test_a_program_that_would_run_again_is_not_imported_by_workers(tmp_path, text, said):
    """One with a guard is, as it may bring what they need."""
    path = tmp_path / "program.py"
    path.write_text(text)
    ran = subprocess.run([sys.executable, "-u", path], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (said, "")
