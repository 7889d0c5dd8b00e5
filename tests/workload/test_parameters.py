"""Parameter counts: closed form, operator graph and published numbers agree."""

import tomllib
from pathlib import Path

import pytest

from waferloom.workload.layers import embedding_graph, head_graph, layer_graph
from waferloom.workload.library import model, model_names
from waferloom.workload.model import ModelConfig
from waferloom.workload.parameters import count_parameters

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "golden/parameters.toml").read_text("utf-8"))


def graph_parameters(config: ModelConfig) -> int:
    layers = sum(
        group.num_layers * layer_graph(config, group.kind).num_parameters
        for group in config.layer_groups
    )
    edges = embedding_graph(config).num_parameters + head_graph(config).num_parameters
    return edges + layers + config.extra_parameters


@pytest.mark.parametrize("row", GOLDEN["row"], ids=lambda row: f"{row['model']}-{row['quantity']}")
def test_counts_are_the_published_ones(row: dict[str, object]):
    count = count_parameters(model(str(row["model"])))
    assert getattr(count, str(row["quantity"])) == pytest.approx(
        row["expected"], rel=row["rel_tol"], abs=0
    ), row["why_tol"]


@pytest.mark.parametrize("name", model_names())
def test_operators_hold_every_parameter_exactly_once(name: str):
    config = model(name)
    assert graph_parameters(config) == count_parameters(config).total


@pytest.mark.parametrize("name", model_names())
def test_parts_add_up_to_the_total(name: str):
    config = model(name)
    count = count_parameters(config)
    per_kind = {"dense": count.dense_layer, "moe": count.moe_layer}
    layers = sum(group.num_layers * per_kind[group.kind] for group in config.layer_groups)
    assert count.embedding + count.head + layers + config.extra_parameters == count.total
    assert (count.active < count.total) == (config.moe is not None)


def test_a_tied_head_counts_once():
    tied, untied = model("gpt2"), model("llama2-7b")
    assert head_graph(tied).num_parameters == 2 * tied.hidden_size
    assert head_graph(untied).num_parameters == (untied.vocab_size + 1) * untied.hidden_size
