import pytest

from autotricks.data import memory
from autotricks.errors import DataError


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 8000 kB\n"


def test_reads_what_the_machine_has(tmp_path):
    write(tmp_path, proc__meminfo=MEMINFO)
    assert memory.available(tmp_path) == 8000 * 1024


def test_reads_the_limit_of_a_container_less_what_is_used_and_not_cache(tmp_path):
    write(tmp_path, proc__meminfo=MEMINFO, sys__fs__cgroup__memory_dot_max="5000\n",
          sys__fs__cgroup__memory_dot_current="3000\n", sys__fs__cgroup__memory_dot_stat="anon 1\ninactive_file 700\n")
    assert memory.available(tmp_path) == 5000 - 3000 + 700


def test_reads_the_older_control_groups_and_the_nearest_limit(tmp_path):
    write(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="4:memory:/job/1\n1:cpu:/\n",
          sys__fs__cgroup__memory__memory_dot_limit_in_bytes="9223372036854771712\n",
          sys__fs__cgroup__memory__memory_dot_usage_in_bytes="100\n",
          sys__fs__cgroup__memory__job__1__memory_dot_limit_in_bytes="900\n",
          sys__fs__cgroup__memory__job__1__memory_dot_usage_in_bytes="100\n")
    assert memory.available(tmp_path) == 800


def test_no_limit_is_no_limit(tmp_path):
    write(tmp_path, proc__meminfo=MEMINFO, sys__fs__cgroup__memory_dot_max="max\n",
          sys__fs__cgroup__memory_dot_current="3000\n")
    assert memory.available(tmp_path) == 8000 * 1024


def test_refuses_and_says_which_size_would_fit(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2 * 1000 * 3 * 10 * 10)
    memory.require_images(1000, (3, 10, 10))
    with pytest.raises(DataError, match=r"data.source: 1,000 images of 10 x 11 x 3 .* Set data.size to 10 or less"):
        memory.require_images(1000, (3, 10, 11))
