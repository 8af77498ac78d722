import subprocess
import sys

import pytest

HEAVY = "torch._dynamo.symbolic_convert"

TRAIN = """
import sys
import torch
from autotricks.system.lazy_compiler import postpone

def trained(steps):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    for make in (torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop):
        optimizer = make(model.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    return model
"""


def ran(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", TRAIN + program], capture_output=True, text=True, timeout=120,
                          check=True)
    said = [line for line in done.stdout.splitlines() if not line.startswith("[Gloo]")]   # torch 2.10 says some
    return " ".join(said).split()


ASKED = f"""
import inspect
import torch.distributed as dist
postpone()
trained(2)
print('{HEAVY}' in sys.modules)
dist.init_process_group("gloo", init_method="file://" + MEETING, rank=0, world_size=1)
total = torch.ones(1)
dist.all_reduce(total)
dist.destroy_process_group()
print('{HEAVY}' in sys.modules)
inspect.getmodule(sys._getframe(), "nowhere")
print('{HEAVY}' in sys.modules)
import torch.distributed.tensor     # the compiler would import that again
torch.testing.assert_close(torch.ones(2), torch.ones(2))
print(torch.distributed.tensor.DeviceMesh.__name__)
"""


COMPILED = f"""
model = trained(3)
print('{HEAVY}' in sys.modules)
compiled = torch.compile(model, backend=BACKEND)
print('{HEAVY}' in sys.modules, *compiled(torch.arange(6.0).view(2, 3)).flatten().tolist())
print(torch._dynamo.is_compiling(), sys.modules["torch._dynamo"] is torch._dynamo)
again = trained(3)      # with the real one
print(*[torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters())])
print(torch.allclose(model(torch.arange(6.0).view(2, 3)), compiled(torch.arange(6.0).view(2, 3))))
from torch.optim.optimizer import Optimizer
print(Optimizer.zero_grad.__wrapped__.__dict__["__dynamo_disable"] is Optimizer.zero_grad.__wrapped__)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What one process says that first does without the compiler, and then with it; each imports torch for seconds."""
    meeting = tmp_path_factory.mktemp("ranks") / "meeting"
    return ran(f"MEETING = {str(meeting)!r}{ASKED}BACKEND = 'eager'{COMPILED}")


def test_neither_training_nor_a_group_of_processes_nor_who_asks_all_modules_imports_the_compiler(said):
    """`inspect` asks them for their files, while torch.distributed.tensor is being imported."""
    assert said[:4] == ["False", "False", "False", "DeviceMesh"]


def test_compiling_after_training_imports_the_compiler_in_the_place_of_the_stand_in(said):
    """By the simplest backend; the slow test below is by one that differentiates the graph ahead of time."""
    heavy_before, heavy_after, *_, compiling, real, weight, bias, compiled, disabled = said[4:]
    assert (heavy_before, heavy_after, compiling, real) == ("False", "True", "False", "True")
    assert (weight, bias, compiled) == ("True", "True", "True")
    assert disabled == "False"      # the real compiler took the answers back


@pytest.mark.slow
def test_training_and_compiling_afterwards_give_what_they_give_without_the_stand_in():
    compiled = "BACKEND = 'aot_eager'" + COMPILED
    plain, postponed = ran(compiled), ran("postpone(); " + compiled)
    assert plain[0] == "True" and postponed[0] == "False"       # which is why there is a stand-in
    assert postponed[1:] == plain[1:]


@pytest.mark.slow
def test_what_the_stand_in_does_not_know_of_rules_it_asks_of_the_compiler():
    asked = ran(f"postpone(); print(torch._dynamo.trace_rules.lookup.__module__, '{HEAVY}' in sys.modules)")
    assert asked == ["torch._dynamo.trace_rules", "True"]
