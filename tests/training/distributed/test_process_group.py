"""One process and two ranks of a group, which differ in their collectives alone."""

import inspect
import json
import os

import torch.distributed as dist

from qgpipe.training.distributed.join import is_to_launch, join_process_group
from qgpipe.training.distributed.process_group import ProcessGroup, SingleProcess

COLLECTIVES = """
import json, os
import torch
from qgpipe.training.distributed.join import join_process_group

processes = join_process_group(config)
rank, seen = processes.rank, []
buffer = torch.tensor([1.5 + rank, -0.0])
processes.broadcast(buffer)
try:
    processes.run_on_rank0(lambda: {}[f"of rank {rank}"])
except KeyError as error:
    seen.append(str(error))
result = {
    "names": [name for name in dir(processes) if not name.startswith("_")],
    "size": processes.size,
    "broadcast": buffer.tolist(),
    "computed": processes.run_on_rank0(lambda: f"of rank {rank}"),
    "raised": seen,
    "all_gather": processes.all_gather({"rank": rank}),
    "all_sum": processes.all_sum(torch.tensor([1.0 + rank, -0.0])).tolist(),
    "all_max": processes.all_max(torch.tensor([1.0 + rank, -rank])).tolist(),
}
(folder / f"rank{rank}.json").write_text(json.dumps(result))
"""


def results(ranks, size, config, folder):
    folder.mkdir()
    assert ranks.run(size, COLLECTIVES, config=config, folder=folder) == [0] * size
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(size)]


def test_all_ranks_get_the_same_and_one_process_what_it_gave(ranks, make_config, tmp_path):
    [alone] = results(ranks, 1, make_config(), tmp_path / "1")
    one, other = results(ranks, 2, make_config(), tmp_path / "2")
    assert one == other
    assert alone.pop("names") == one.pop("names")
    same = {"broadcast": [1.5, -0.0], "computed": "of rank 0", "raised": ["'of rank 0'"]}
    assert alone == {
        **same, "size": 1, "all_gather": [{"rank": 0}], "all_sum": [1.0, -0.0],
        "all_max": [1.0, 0.0],
    }  # fmt: skip
    assert one == {
        **same, "size": 2, "all_gather": [{"rank": 0}, {"rank": 1}], "all_sum": [3.0, 0.0],
        "all_max": [2.0, 0.0],
    }  # fmt: skip
    assert str(alone["all_sum"][1]) == "-0.0"


def test_one_process_and_a_group_are_called_alike():
    def methods(cls):
        functions = inspect.getmembers(cls, inspect.isfunction)
        return {name: inspect.signature(f) for name, f in functions if not name.startswith("_")}

    assert methods(SingleProcess) == methods(ProcessGroup)


def test_whether_to_launch_is_a_question_that_joins_no_group(make_config, ranks, monkeypatch):
    before = dict(os.environ)
    assert not is_to_launch(make_config())
    assert not is_to_launch(make_config(parallel={"world_size": 1}))
    config = make_config(parallel={"world_size": 2})
    assert is_to_launch(config)
    assert dict(os.environ) == before
    for name, value in ranks.torchrun(2)[1].items():
        monkeypatch.setenv(name, value)
    assert not is_to_launch(config)
    assert not dist.is_initialized()


def test_a_process_that_was_started_alone_is_no_group(make_config):
    assert isinstance(join_process_group(make_config()), SingleProcess)
