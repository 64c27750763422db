import os
import signal

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data

from qgpipe.errors import TrainingError
from qgpipe.models import load_model
from qgpipe.system.rng import restore_rng, rng_state
from qgpipe.training.distributed.signals import Interrupted
from qgpipe.training.steps.ema import WeightAverage
from qgpipe.training.steps.loss_buffer import LossLog
from qgpipe.training.steps.precision import Precision
from qgpipe.training.steps.training_step import StepBatches, TrainingStep
from qgpipe.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


SAGE = [["torch_geometric.nn.SAGEConv", [3, 8], {}, "x, edge_index"]]


class Loss:
    """Cross entropy; at its call number ``at`` the process is told to stop.

    There are five calls in training and two in validation an epoch.
    """

    def __init__(self, at=None):
        self.calls, self.at = 0, at

    def __call__(self, outputs, data):
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return cross_entropy(outputs[0], data.y)


@pytest.fixture
def train(make_config, open_data):
    """Train on the GPU with options of the ``training`` section; returns the trainer."""

    def run(name="run", criterion=None, **training):
        config = make_config(
            name=name, criterion=criterion or Loss(), training={"device": "cuda", **training}
        )
        loaders, trainer = open_data(config), Trainer(config)
        trainer.run_training(loaders.train, loaders.validation)
        return trainer

    return run


def weights(trainer):
    return {name: value.cpu() for name, value in trainer.model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


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


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_deterministic_runs_are_the_same_also_when_they_are_stopped(train, precision):
    options = {"deterministic": True, "precision": precision, "ema_decay": 0.9}
    whole = train("whole", Loss(), **options)
    again = train("again", Loss(), **options)
    assert equal(weights(again), weights(whole))
    with pytest.raises(Interrupted):
        train("stopped", Loss(10), **options)
    assert equal(weights(train("stopped", Loss(), **options)), weights(whole))


@pytest.mark.parametrize("option", [{"compile": True}, {"accumulate_steps": 2, "gradient_clip": 1}])
def test_a_stopped_run_goes_on_with_these_options(train, option):
    whole = train("whole", Loss(), **option)
    with pytest.raises(Interrupted):
        train("stopped", Loss(10), **option)
    resumed = weights(train("stopped", Loss(), **option))
    for name, value in weights(whole).items():
        assert torch.allclose(resumed[name], value, rtol=1e-3, atol=1e-4)


def test_generators_of_every_device_go_on():
    devices = range(torch.cuda.device_count())
    torch.cuda.manual_seed_all(3)
    state = rng_state()
    assert len(state["cuda"]) == len(devices)
    first = [torch.randn(2, device=f"cuda:{i}").tolist() for i in devices]
    torch.cuda.manual_seed_all(4)
    restore_rng(state)
    assert [torch.randn(2, device=f"cuda:{i}").tolist() for i in devices] == first


def test_out_of_memory_says_what_to_change(train):
    def greedy(outputs, data):
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
        return cross_entropy(outputs[0], data.y)

    with pytest.raises(TrainingError, match=r"epoch 1, step 1: .* make training\.batch_size"):
        train(criterion=greedy)


class Sum(torch.nn.Module):
    """A linear map of the sum over the elements of each graph."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)

    def forward(self, x, batch, num_graphs):
        outputs = self.linear(x)
        sums = torch.zeros(num_graphs, 3, device=x.device, dtype=outputs.dtype)
        return {0: sums.index_add(0, batch, outputs)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_does_not_wait_for_the_device(precision):
    device, log = torch.device("cuda", 0), LossLog()
    model = Sum().to(device)
    step = TrainingStep(
        model,
        lambda outputs, data: cross_entropy(outputs[0], data.y),
        torch.optim.Adam(model.parameters()),
        Precision(precision, device),
        device,
        clip=1.0,
        average=WeightAverage(model, 0.9),
    )
    graphs = [Data(x=torch.randn(4, 2), y=torch.tensor(i % 3)) for i in range(6)]
    batches = [Batch.from_data_list(graphs[i : i + 3]).to(device) for i in (0, 3)]
    log.add(**vars(step(StepBatches.of(batches))))  # what is built once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            log.add(**vars(step(StepBatches.of(batches))))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert log.settle() is None


@pytest.mark.parametrize("residency", ["memory", "device"])
@pytest.mark.parametrize("edge_format", ["edges", "csr", "dense"])
def test_loading_and_training_do_not_wait_for_the_device(
    make_config, open_data, edge_format, residency
):
    options = {"device": "cuda", "message_passing": edge_format, "num_epochs": 1}
    config = make_config(data={"residency": residency}, training=options)
    loaders, trainer, log = open_data(config), Trainer(config), LossLog()
    trainer.run_training(loaders.train, loaders.validation)  # what is built once may wait
    device = trainer.device
    step = TrainingStep(
        trainer.model, trainer.criterion, trainer.optimizer, Precision("fp32", device), device
    )
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in loaders.train.iterate(2):
            log.add(**vars(step(StepBatches.of([batch]))))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loaders.train.edge_format == edge_format
    assert log.settle() is None


@pytest.mark.parametrize("residency", ["memory", "device"])
@pytest.mark.parametrize("edge_format", ["csr", "dense"])
def test_every_form_trains_on_the_gpu_as_on_the_cpu(make_config, open_data, edge_format, residency):
    losses = []
    for device, passing in (("cpu", "edges"), ("cuda", edge_format)):
        config = make_config(
            name=device,
            data={"residency": residency},
            # Without dropout, whose random numbers differ.
            model={"encoder_kwargs": {"layers": SAGE}},
            training={"device": device, "message_passing": passing},
        )
        loaders = open_data(config)
        training, validation = Trainer(config).run_training(loaders.train, loaders.validation)
        losses.append([*training["loss_avg"], *validation["loss_avg"]])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_batches_of_changing_shapes_run_through_a_translated_model(train):
    for edge_format in ("csr", "dense"):
        trainer = train(edge_format, compile=True, message_passing=edge_format)
        assert all(value.isfinite().all() for value in weights(trainer).values())
