import pytest
import torch

from qgpipe.errors import ConfigError
from qgpipe.system.device import on_device, resolve_device

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
CPU = torch.device("cpu")


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU


@no_cuda
def test_auto_is_the_cpu_where_there_is_no_cuda():
    assert resolve_device("auto") == CPU


@no_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none_is_a_clear_error(name):
    with pytest.raises(ConfigError) as caught:
        resolve_device(name)
    assert str(caught.value) == (
        f"training.device: '{name}' asks for CUDA, and torch sees no CUDA device here; "
        "use auto or cpu"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_has_its_number():
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(ConfigError, match="numbered up to"):
        resolve_device("cuda:99")


def test_an_unknown_device_is_an_error_with_its_key():
    with pytest.raises(ConfigError, match=r"testing\.tester\.device: 'gpu' is not a device"):
        resolve_device("gpu", "testing.tester.device")


def test_a_module_that_is_there_already_is_not_copied():
    module = torch.nn.Linear(1, 1)
    assert on_device(module, CPU) is module
    assert on_device(len, CPU) is len


def test_a_module_that_is_elsewhere_is_copied():
    module = torch.nn.Linear(1, 1)
    moved = on_device(module, torch.device("meta"))
    assert moved.weight.device.type == "meta"
    assert module.weight.device == CPU
