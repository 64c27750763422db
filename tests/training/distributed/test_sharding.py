import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.training.distributed.sharding import interleaved, shard_of_batch

sizes = st.integers(1, 9)


@given(st.integers(0, 40), sizes)
def test_the_shards_of_a_batch_are_each_graph_once_and_nearly_equal(graphs, size):
    positions = np.random.default_rng(graphs).permutation(1000)[:graphs]
    shards = [shard_of_batch(positions, rank, size) for rank in range(size)]
    assert sorted(np.concatenate(shards)) == sorted(positions)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.lists(st.integers()), sizes)
def test_interleaving_undoes_the_sharing_out_of_batches(items, size):
    assert interleaved([items[rank::size] for rank in range(size)]) == items


def test_an_empty_shard_has_a_graph_without_weight(open_data, make_config):
    from qgpipe.training.distributed.sharding import ShardLoader

    loader = open_data(make_config(training={"batch_size": 13})).train  # 13, 13, 13, 1
    shards = ShardLoader(loader, rank=1, size=2)
    *_, last = shards.iterate(epoch=1)
    assert (last.graphs, shards.num_graphs(3, 4), last.batch.num_graphs) == (0, 1, 1)


def test_the_shards_of_an_epoch_are_the_training_set_once(open_data, make_config):
    from qgpipe.training.distributed.sharding import ShardLoader

    loader = open_data(make_config(training={"batch_size": 9})).train
    seen = [
        shard.batch.sample_position[: shard.graphs]
        for rank in range(3)
        for shard in ShardLoader(loader, rank, 3).iterate(epoch=2)
    ]
    assert sorted(np.concatenate(seen)) == list(range(40))
