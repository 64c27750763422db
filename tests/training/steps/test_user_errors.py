import pytest
import torch
from torch_geometric.data import Batch, Data

from qgpipe.errors import TrainingError
from qgpipe.training.steps.user_errors import explained, memory_for


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_says_what_to_change(error):
    assert str(explained(error, "epoch 1, step 2")) == (
        "epoch 1, step 2: there is not enough memory on the device; "
        "make training.batch_size smaller and training.accumulate_steps larger by the same "
        "factor, or set training.precision to bf16"
    )


def test_out_of_memory_of_the_host_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert "not enough memory" in str(explained(caught.value, "x"))


def test_a_batch_that_does_not_fit_is_named_with_its_numbers():
    graphs = [Data(x=torch.zeros(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]))] * 500
    with (
        pytest.raises(TrainingError) as caught,
        memory_for(Batch.from_data_list(graphs), torch.device("cpu"), "take less"),
    ):
        torch.empty(2**60)
    assert str(caught.value) == (
        "a batch of 500 graphs, 1,500 nodes, 1,000 edges does not fit into the memory of cpu; "
        "take less"
    )


def test_other_errors_pass_through_it():
    with pytest.raises(RuntimeError, match="a bug"), memory_for(None, torch.device("cpu")):
        raise RuntimeError("a bug")


def test_a_layer_without_a_deterministic_algorithm_is_explained():
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError) as caught:
            torch.zeros(3).put_(torch.tensor([1]), torch.ones(1))
    finally:
        torch.use_deterministic_algorithms(False)
    message = "set training.deterministic to false, or take another layer"
    assert message in str(explained(caught.value, "x"))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("CUDA error: device-side assert triggered", "training.device: cpu names the label"),
        ("\"eigh\" not implemented for 'Half'", "set training.precision to bf16 or fp32"),
        ("\"eigh\" not implemented for 'BFloat16'", "set training.precision to fp32"),
    ],
)
def test_what_torch_says_is_translated(text, remedy):
    assert remedy in str(explained(RuntimeError(text), "x"))


def test_failure_of_the_compiler_is_explained():
    from torch._dynamo.exc import BackendCompilerFailed

    def backend():
        pass

    error = BackendCompilerFailed(backend, RuntimeError("no C++ compiler"), None)
    assert "torch.compile fails: " in str(explained(error, "x"))
    assert "set training.compile to false" in str(explained(error, "x"))


def test_an_error_of_ours_learns_where_it_happened():
    assert str(explained(TrainingError("no"), "epoch 2, step 1")) == "epoch 2, step 1: no"
    assert str(explained(TrainingError("no", where="there"), "epoch 2")) == "there: no"


def test_anything_else_is_left_as_it_is():
    error = RuntimeError("a bug")
    assert explained(error, "x") is error
