import errno
import multiprocessing
import os
import threading
import time

import pytest

from autotricks.errors import DiskError, RunError
from autotricks.io.files import disk_errors
from autotricks.runs import folder as folders


def test_folders_are_numbered_and_never_written_over(tmp_path):
    date = time.strftime("%Y-%m-%d")
    made = [folders.create(tmp_path / "runs", "long_tail") for _ in range(3)]
    assert [path.name for path in made] == [f"long_tail-{date}-{number:03d}" for number in (1, 2, 3)]
    made[1].rmdir()
    assert folders.create(tmp_path / "runs", "long_tail") == made[1]
    assert folders.create(tmp_path / "runs", "other").name == f"other-{date}-001"


def test_many_at_once_get_folders_of_their_own(tmp_path):
    made = []
    threads = [threading.Thread(target=lambda: made.append(folders.create(tmp_path, "x"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16


def test_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        folders.create(tmp_path / "runs", "x")


def hold(folder, held):
    with folders.locked(folder):
        held.set()
        time.sleep(60)


def test_lock_names_its_holder_and_goes_with_it(tmp_path):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, held))
    holder.start()
    try:
        assert held.wait(30)
        with pytest.raises(RunError, match=f"in use by process {holder.pid} on {os.uname().nodename} since"), \
                folders.locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.join()
    with folders.locked(tmp_path):      # whoever was killed holds nothing
        assert f"process {os.getpid()} " in (tmp_path / ".owner").read_text()
    assert not (tmp_path / ".owner").exists()


def test_full_disk_is_said_with_the_way_on(tmp_path):
    said = (rf"data\.json: no space left on device\. .* again\. What had .* goes on with: autotricks search --resume "
            rf"{tmp_path}$")
    with pytest.raises(DiskError, match=said), folders.locked(tmp_path), disk_errors(tmp_path / "data.json"):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_fails_elsewhere_is_not_blamed_on_the_folder(tmp_path, number):
    """Such as a standard output that leads to /dev/full, or to a terminal that is gone."""
    with pytest.raises(OSError) as caught, folders.locked(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.errno == number and caught.value.filename is None


def test_runs_are_found_by_path_name_and_age(tmp_path):
    for age, name in enumerate(("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / folders.SPACE).write_text("")
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / "empty").mkdir()
    assert folders.find("a", tmp_path) == folders.find(str(tmp_path / "a"), tmp_path / "elsewhere") == tmp_path / "a"
    assert folders.find("latest", tmp_path) == tmp_path / "a"
    with pytest.raises(RunError, match=r"c: no run lies there\. Runs in .*: a, b\."):
        folders.find("c", tmp_path)
    with pytest.raises(RunError, match=r"Runs in .*: none"):
        folders.find("latest", tmp_path / "empty")


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "data.json"
    folders.write_json(path, {"b": 1, "a": [1.5]})
    assert folders.read_json(path) == {"a": [1.5], "b": 1}
    with pytest.raises(TypeError):
        folders.write_json(path, {"a": object()})
    assert folders.read_json(path) == {"a": [1.5], "b": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["data.json"]


def test_json_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "data.json"
    folders.write_json(path, {"low": 0.25, "high": 0.75})
    path.write_text(path.read_text().replace("0.25", "0.75"))
    with pytest.raises(RunError, match=r"data\.json: is damaged; it is not as it was written\. Restore it") as caught:
        folders.read_json(path)
    assert len(caught.value.problems) == 1
    path.write_text("[" * 200_000)
    with pytest.raises(RunError, match=r"data\.json: is damaged; .* Restore it; or delete it, and the command"):
        folders.read_json(path)
    path.write_text('{"low": 0.75}')
    assert folders.read_json(path) == {"low": 0.75}      # of an earlier version, which wrote no checksum


def test_what_is_missing_is_not_to_be_deleted(tmp_path):
    with pytest.raises(RunError, match=r"data\.json: is missing\. Restore it; or the command that made it") as caught:
        folders.read_json(tmp_path / "data.json")
    assert "delete" not in str(caught.value)
