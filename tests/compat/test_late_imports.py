import subprocess
import sys

import pytest


def _run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not done.returncode, done.stderr


BEFORE = """
import inspect
import sys
from qgpipe.compat.late_imports import LATE, import_late, waiting
import_late()
import_late()
import torch
import torch_geometric
inspect.getmodule(sys._getframe())
assert waiting() == list(LATE)
"""


def test_what_torch_geometric_imports_waits_for_its_first_use():
    _run(
        BEFORE
        + "layer = torch_geometric.nn.SAGEConv(3, 4)\n"
        + "layer(torch.ones(2, 3), torch.tensor([[0], [1]]))\n"
        + "assert waiting() == list(LATE)\n"
        + "assert torch_geometric.datasets.FakeDataset(num_graphs=2).num_node_features\n"
        + "assert waiting() == ['torch._dynamo']\n"
    )


@pytest.mark.parametrize(
    "use",
    [
        "torch.optim.Adam([torch.ones(2, requires_grad=True)]).step()",
        "import torch._dynamo.config as c; assert c.cache_size_limit",
        "from torch._dynamo import OptimizedModule",
        "assert torch_geometric.is_torch_instance(torch.compile(torch.nn.ReLU()), torch.nn.ReLU)",
        "assert torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)) == 2",
    ],
)
def test_each_way_to_use_dynamo_loads_it(use):
    _run(BEFORE + use + "\nassert waiting() == ['torch_geometric.datasets']\n")


def test_modules_that_are_loaded_already_stay():
    _run(
        "import torch_geometric, sys\nbefore = sys.modules['torch._dynamo']\n"
        "from qgpipe.compat.late_imports import import_late\nimport_late()\n"
        "import torch._dynamo\nassert sys.modules['torch._dynamo'] is before\n"
    )
