"""What the program uses of other libraries without their promise: that it is there, and does what is relied on.

Where one fails after an upgrade, the place that it names is to be mended. What else is of the kind has tests of
its own: the stand-in for torch's compiler (core/test_dynamo), lists of tensors (core/test_tensor_lists), the end of a
group of processes (test_ranks), Optuna's records (search/test_memory).
"""
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch
from PIL import Image

from autotricks.nn.normalization import statistics, synchronize
from autotricks.system.workers import forked


def test_gamma_is_drawn_by_a_generator():
    """`functional.sampling.beta`: Gamma(2) has mean 2 and variance 2."""
    chance = torch.Generator().manual_seed(0)
    drawn = torch._standard_gamma(torch.full((100_000,), 2.0, dtype=torch.float64), generator=chance)
    assert drawn.dtype is torch.float64
    assert float(drawn.mean()) == pytest.approx(2, abs=0.02) and float(drawn.var()) == pytest.approx(2, abs=0.05)
    again = torch._standard_gamma(torch.full((1,), 2.0), generator=torch.Generator().manual_seed(0))
    assert torch.equal(again, torch._standard_gamma(torch.full((1,), 2.0), generator=torch.Generator().manual_seed(0)))


def test_batch_statistics_are_mean_and_biased_variance():
    """`nn.normalization.statistics`."""
    images = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    variance, mean = statistics(images)
    assert torch.allclose(mean, images.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(variance, images.var((0, 2, 3), correction=0), atol=1e-6)


def test_a_change_in_place_raises_a_tensors_version():
    """`nn.normalization`: by it a norm is known to read what a convolution has written."""
    tensor = torch.zeros(2)
    before = tensor._version
    assert (tensor + 1)._version == 0 and tensor._version == before
    tensor.add_(1)
    assert tensor._version == before + 1


@pytest.mark.parametrize("name", ["torch", "timm"])
def test_a_batch_norm_becomes_a_synchronized_one_by_its_class(name):
    """`nn.normalization.synchronize`: the class alone differs, so weights, hooks and output in evaluation stay."""
    if name == "timm":
        from timm.layers import BatchNormAct2d

        norm = BatchNormAct2d(3)
    else:
        norm = torch.nn.BatchNorm2d(3)
    called, images = [], torch.randn(2, 3, 4, 4)
    norm.register_forward_hook(lambda *given: called.append(1))
    model = torch.nn.Sequential(norm).eval()
    before, names = model(images), list(model.state_dict())
    synchronize(model)
    assert isinstance(norm, torch.nn.SyncBatchNorm) and list(model.state_dict()) == names
    assert torch.equal(model(images), before) and len(called) == 2


def test_want_of_memory_says_memory():
    """`probes.batch_size`: on a CPU it is an ordinary RuntimeError, known by this word alone."""
    with pytest.raises(RuntimeError, match="memory"):
        torch.empty(2**55, dtype=torch.uint8)


def test_the_server_of_workers_has_a_process_number():
    """`system.workers`: the server is ended by it when the program ends."""
    if "forkserver" not in multiprocessing.get_all_start_methods():      # Windows
        pytest.skip("no server of workers on this system")
    forked([])
    assert forkserver._forkserver._forkserver_pid > 0


def test_pillow_lets_its_blocks_be_set():
    """`data.decode`: images larger than a block cost a system call each."""
    before = Image.core.get_block_size()
    assert before >= 2**20, "as decode sets it where it is imported, else Pillow's own"
    Image.core.set_block_size(before)
    assert Image.core.get_block_size() == before


def test_torch_has_what_ends_a_group_of_processes():
    """`trainer.distributed.abort`; what it does is tried in test_ranks, and on GPUs by nobody yet."""
    assert callable(torch.distributed.distributed_c10d._abort_process_group)


def test_a_server_that_refuses_says_its_code_in_these_words(monkeypatch):
    """`tracking.store.error_text`: MLflow has no class for a refusal; here a real client meets a real server."""
    from autotricks.tracking.store import client, error_text

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(401)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *words):
            """Say nothing."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(Exception, match="401") as error:
            client(f"http://127.0.0.1:{server.server_port}").search_experiments()
        assert error_text(error.value).startswith("name or password are missing or wrong (401).")
    finally:
        server.shutdown()


def test_ray_knows_the_settings_that_it_is_given():
    """`tuning.engines.ray_cluster` and `ray_tune`: names of the environment, which Ray documents in part."""
    import ray
    from ray.tune.execution import class_cache

    from autotricks.tuning.engines.ray_cluster import RAY_ENV

    home = Path(ray.__file__).parent
    sources = [path for folder in ("tune", "train", "air") for path in (home / folder).rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in [*sources, *(home / "_private").glob("*.py")])
    raylet = (home / "core" / "src" / "ray" / "raylet" / "raylet").read_bytes()
    unknown = [name for name in RAY_ENV if name not in text and name.removeprefix("RAY_").encode() not in raylet]
    assert not unknown, f"Ray no longer knows {unknown}"
    assert "AWS_SECRET_ACCESS_KEY" in class_cache.ENV_VARS_TO_PROPAGATE, "Ray hands on no secrets: ours may go"


def test_a_tensor_may_wrap_another():
    """`tests.contract.pretended_gpu`: what wraps one has its shape and type, and operations come to its class."""
    called = []

    class Wrapper(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, call, types, args=(), kwargs=None):
            called.append(call)
            return torch.ones(2)

    made = torch.Tensor._make_wrapper_subclass(Wrapper, (2, 3), dtype=torch.int64)
    assert made.shape == (2, 3) and made.dtype is torch.int64 and type(made) is Wrapper
    assert torch.neg(made).tolist() == [1, 1] and called == [torch.ops.aten.neg.default]
