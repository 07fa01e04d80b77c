"""What a pack's models have learned goes in and out of it unchanged."""

import dataclasses

import torch

from study.config import Config
from study.train import loop
from study.train.checkpoint import Checkpoint
from study.train.optimizer import OPTIMIZERS
from study.train.pack import Pack
from study.train.pack_state import PackState

CPU = torch.device("cpu")
CONFIGS = [Config(seed=seed, ema=ema, lr=0.1) for seed, ema in ((1, 0.9), (2, 0.0), (3, 0.5))]


def trained(config: Config) -> Checkpoint:
    """A checkpoint whose average is the network's state plus 1."""
    network = loop.initialized(config)
    momentum = [torch.randn_like(p) for p in network.parameters()]
    state = network.state_dict()
    average = {name: t + 1 for name, t in state.items() if t.is_floating_point()}
    return Checkpoint(state, {"momentum": momentum}, [], average=average)


def same(one: PackState, other: PackState) -> bool:
    def tensors(state):
        network = [state.network[name] for name in sorted(state.network)]
        average = [t for _, t in sorted(state.average.items()) if t.is_floating_point()]
        return [*network, *state.optimizer["momentum"], *average]

    return all(map(torch.equal, tensors(one), tensors(other)))


def test_a_pack_leaves_the_state_that_it_was_given_whole_and_in_part():
    checkpoints = [trained(CONFIGS[0]), None, trained(CONFIGS[2])]
    state = PackState.start(CONFIGS, checkpoints)
    pack = Pack(CONFIGS, checkpoints, CPU)
    assert list(pack.state().network) == list(state.network)
    assert same(pack.state(), state)
    pack.select([2, 0])
    assert [config.seed for config in pack.configs] == [3, 1]
    assert same(pack.state(), state.select([2, 0]))


def test_a_model_without_an_average_has_its_own_weights_for_one():
    state = PackState.start(CONFIGS, [trained(CONFIGS[0]), None, None])
    name = "features.0.conv.weight"
    assert torch.equal(state.average[name][0], state.network[name][0] + 1)
    assert torch.equal(state.average[name][1:], state.network[name][1:])
    assert PackState.start(CONFIGS, [None] * 3).average == {}


def test_an_optimizer_that_a_checkpoint_lacks_begins_anew():
    before = dataclasses.replace(trained(CONFIGS[0]), optimizer={})
    state = PackState.start(CONFIGS[:1], [before])
    assert state.optimizer.keys() == OPTIMIZERS["sgd"].start([torch.ones(1)]).keys()
    assert not any(t.any() for t in state.optimizer["momentum"])
