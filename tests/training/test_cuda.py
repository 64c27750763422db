import pytest
import torch

from qgpipe.models import load_model
from qgpipe.training.loss_log import LossLog
from qgpipe.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_a_run_on_the_gpu_is_tested_and_opened_on_the_cpu(make_config, open_data):
    config = make_config(training={"device": "cuda", "num_epochs": 15})
    loaders = open_data(config)
    trainer = Trainer(config)
    training, _ = trainer.run_training(loaders.train, loaders.validation)
    assert training["loss_avg"].iloc[-1] < training["loss_avg"].iloc[0]
    assert trainer.run_test(loaders.test)["loss_avg"].item() > 0
    model = load_model(trainer.checkpoints.best)
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_a_run_goes_on_on_another_device(make_config, open_data):
    for device, epochs in (("cuda", 2), ("cpu", 3), ("cuda", 4)):
        config = make_config(training={"device": device, "num_epochs": epochs})
        loaders = open_data(config)
        training, _ = Trainer(config).run_training(loaders.train, loaders.validation)
        assert training["epoch"].tolist() == list(range(1, epochs + 1))


def test_adding_a_loss_does_not_wait_for_the_device():
    log, loss = LossLog(), torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(10):
            log.add(loss * 2, 4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    log.settle()
    assert log.summary()["loss_avg"] == 2.0
