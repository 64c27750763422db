import pytest
import torch

from qgpipe.training.steps.ema import WeightAverage


def test_it_is_what_the_formula_says():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    average = WeightAverage(model, decay=0.75)
    averages = []
    for weight in (3.0, -2.0, 5.0):
        torch.nn.init.constant_(model.weight, weight)
        average.update(model)
        averages.append(average.model.weight.item())
    # 3/4 · 1 + 1/4 · 3, then 3/4 · 1.5 - 1/4 · 2, then 3/4 · 0.625 + 1/4 · 5
    assert averages == [1.5, 0.625, 1.71875]


def test_buffers_are_those_of_the_model():
    model = torch.nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.9)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    average.update(model)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert average.model.num_batches_tracked == 1


def test_neither_changes_the_other():
    model = torch.nn.Linear(2, 2)
    average = WeightAverage(model, 0.5)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    torch.nn.init.zeros_(model.weight)
    assert all(torch.equal(average.state_dict()[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())


def test_it_goes_on_from_its_state():
    model = torch.nn.Linear(2, 2)
    first, second = WeightAverage(model, 0.5), WeightAverage(model, 0.5)
    torch.nn.init.ones_(model.weight)
    first.update(model)
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update(model)
    assert torch.equal(first.model.weight, second.model.weight)


def test_names_are_those_of_the_model():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert list(WeightAverage(model, 0.5).state_dict()) == list(model.state_dict())


def test_the_first_weights_count_from_the_beginning():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 4.0)
    average = WeightAverage(model, 0.9)
    assert average.model.weight.item() == pytest.approx(4.0)
