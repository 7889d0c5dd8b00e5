"""Which layers every pipeline rank holds."""

from dataclasses import dataclass

from waferloom.parallel.strategy import Strategy, layers_of_stages
from waferloom.workload.model import LayerKind, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The share of one pipeline rank.

    Attributes:
        rank: Position in the pipeline, 0 first.
        chunks: `(first_layer, num_layers)` of each model chunk, in execution order.
        num_dense: Dense layers over all chunks.
        num_moe: MoE layers over all chunks.
        has_embedding: This rank turns tokens into vectors.
        has_head: This rank computes the loss.
    """

    rank: int
    chunks: tuple[tuple[int, int], ...]
    num_dense: int
    num_moe: int
    has_embedding: bool
    has_head: bool

    @property
    def num_layers(self) -> int:
        """Layers over all chunks."""
        return self.num_dense + self.num_moe

    def count(self, kind: LayerKind) -> int:
        """Layers of one kind."""
        return self.num_moe if kind is LayerKind.MOE else self.num_dense


def stages_of(model: ModelConfig, strategy: Strategy) -> tuple[Stage, ...]:
    """Divide the layers of `model` over the pipeline ranks of `strategy`.

    Raises:
        ValueError: There are more (virtual) stages than layers.
    """
    pp, chunks = strategy.degrees.pp, strategy.num_model_chunks
    sizes = layers_of_stages(model.num_layers, pp * chunks)
    firsts = [sum(sizes[:i]) for i in range(len(sizes))]
    kinds = [group.kind for group in model.layer_groups for _ in range(group.num_layers)]
    stages: list[Stage] = []
    for rank in range(pp):
        held = tuple((firsts[i], sizes[i]) for i in range(rank, pp * chunks, pp))
        layers = [kinds[first + i] for first, size in held for i in range(size)]
        num_moe = sum(kind is LayerKind.MOE for kind in layers)
        stages.append(
            Stage(
                rank=rank,
                chunks=held,
                num_dense=len(layers) - num_moe,
                num_moe=num_moe,
                has_embedding=rank == 0,
                has_head=rank == pp - 1,
            )
        )
    return tuple(stages)
