"""Stored activations of whole stages against the figures of Korthikanti et al. 2022."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from waferloom.workload.job import AttentionStorage
from waferloom.workload.layers import layer_graph
from waferloom.workload.library import model
from waferloom.workload.model import LayerKind
from waferloom.workload.operators import Recompute, SavedUntil, Split, shard_width

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "golden/activations.toml").read_text("utf-8"))
KEPT = {
    Recompute.NONE: {SavedUntil.ALWAYS, SavedUntil.SELECTIVE, SavedUntil.NONE},
    Recompute.SELECTIVE: {SavedUntil.ALWAYS, SavedUntil.SELECTIVE},
    Recompute.FULL: {SavedUntil.ALWAYS},
}


def layer_bytes(row: dict[str, Any], policy: Recompute, *, sequence_parallel: bool) -> float:
    """Bytes that one GPU keeps of one layer and one micro-batch."""
    seq_len, tokens = row["seq_len"], row["seq_len"] * row["micro_batch_size"]
    graph = layer_graph(model(row["model"]), LayerKind.DENSE, AttentionStorage.STORED)
    total = 0.0
    for operator in graph.operators:
        for kept in operator.saved:
            if kept.saved_until not in KEPT[policy]:
                continue
            is_cut = kept.split in (Split.HEADS, Split.OUT)
            features = shard_width(kept.features, row["tp"] if is_cut else 1)
            share = row["tp"] if kept.split is Split.TOKENS and sequence_parallel else 1
            pairs = tokens * (seq_len if kept.per_key else 1)
            total += pairs * features * kept.bytes_per_element / share
    return total


def first_stage_bytes(row: dict[str, Any], policy: Recompute, *, sequence_parallel: bool) -> float:
    """Sum the layers of pp micro-batches of L / pp layers; interleaving adds (pp - 1) / (pp v)."""
    pp, chunks = row["pp"], row["num_chunks"]
    in_flight = 1 + (pp - 1) / (pp * chunks) if chunks > 1 else 1
    num_layers = model(row["model"]).num_layers
    return num_layers * in_flight * layer_bytes(row, policy, sequence_parallel=sequence_parallel)


@pytest.mark.parametrize(
    "row",
    GOLDEN["row"],
    ids=lambda row: (
        f"{row['model']}-{row['policy']}-{'sp' if row['sequence_parallel'] else 'no-sp'}"
        f"-{'share' if row['relative'] else 'bytes'}"
    ),
)
def test_the_first_stage_keeps_what_was_published(row: dict[str, Any]):
    policy = Recompute(row["policy"])
    found = first_stage_bytes(row, policy, sequence_parallel=row["sequence_parallel"])
    if row["relative"]:
        found /= first_stage_bytes(row, Recompute.NONE, sequence_parallel=False)
    assert found == pytest.approx(row["expected"], rel=row["rel_tol"], abs=0), row["why_tol"]
