"""Random jobs, systems and strategies, from a seed; `scripts/check_score.py` draws thousands."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from waferloom.hardware import system
from waferloom.hardware.spec import DefectMap, SystemSpec
from waferloom.mapping.layout import Network, network_of
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.software import CollectiveLibrary, Software
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
)
from waferloom.simulate.score import Option, scorer
from waferloom.simulate.step import Setting, step_report
from waferloom.workload.job import AttentionStorage, Precision, Training
from waferloom.workload.model import (
    LatentAttention,
    LayerGroup,
    LayerKind,
    MixtureOfExperts,
    ModelConfig,
)

SYSTEMS = ("temp-6x8", "temp-wafers", "temp-6x8 damaged", "dgx-h100:4", "dgx-a100:2", "tpu-v5e")


@cache
def network_named(name: str) -> Network:
    return network_of(system_named(name))


@cache
def system_named(name: str) -> SystemSpec:
    plain, _, is_damaged = name.partition(" ")
    spec = system(plain)
    if not is_damaged:
        return spec
    defects = DefectMap(
        dead_dies=((2, 3), (5, 7)),
        dead_links=(((0, 0), (0, 1)), ((4, 4), (5, 4))),
        dead_core_fraction=0.1,
    )
    return spec.model_copy(update={"defects": defects})


def random_model(rng: np.random.Generator) -> ModelConfig:
    """Dense or MoE, grouped or latent attention, tied or not, in sizes that divide badly."""
    kv_heads = int(rng.choice([1, 2, 5, 8]))
    num_heads = kv_heads * int(rng.choice([1, 3, 4]))
    head_dim = int(rng.choice([64, 80, 128]))
    num_layers = int(rng.integers(3, 14))
    moe = latent = None
    groups = (LayerGroup(kind=LayerKind.DENSE, num_layers=num_layers),)
    if rng.random() < 0.5:
        num_shared = int(rng.integers(0, 3))
        num_experts, expert_ffn = int(rng.choice([6, 8, 16, 60])), int(rng.choice([512, 1408]))
        moe = MixtureOfExperts(
            num_experts=num_experts,
            top_k=int(rng.integers(1, 5)),
            expert_ffn_size=expert_ffn,
            num_shared_experts=num_shared,
            shared_expert_ffn_size=num_shared * expert_ffn,
        )
        num_dense = int(rng.integers(0, 3))
        groups = (
            *([LayerGroup(kind=LayerKind.DENSE, num_layers=num_dense)] if num_dense else []),
            LayerGroup(kind=LayerKind.MOE, num_layers=num_layers - num_dense),
        )
    if rng.random() < 0.3:
        kv_heads = num_heads
        latent = LatentAttention(
            q_lora_rank=None if rng.random() < 0.5 else 384,
            kv_lora_rank=256,
            qk_nope_head_dim=head_dim - 32,
            qk_rope_head_dim=32,
            v_head_dim=96,
        )
    return ModelConfig(
        name="random",
        architecture="random",
        hidden_size=num_heads * head_dim,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        ffn_size=int(rng.choice([1000, 4096, 11008])),
        is_gated=bool(rng.random() < 0.6),
        vocab_size=int(rng.choice([32000, 50257])),
        max_position_embeddings=int(rng.choice([0, 2048])),
        is_tied=bool(rng.random() < 0.5),
        has_mlp_bias=bool(rng.random() < 0.5),
        num_norm_vectors=int(rng.integers(1, 3)),
        has_qk_norm=latent is None and bool(rng.random() < 0.3),
        has_embedding_norm=bool(rng.random() < 0.2),
        dropout=bool(rng.random() < 0.3),
        layer_groups=groups,
        moe=moe,
        latent=latent,
    )


def random_job(rng: np.random.Generator) -> Training:
    stored = rng.random() < 0.3
    return Training(
        model=random_model(rng),
        global_batch_size=int(rng.choice([3, 16, 40, 128])),
        seq_len=int(rng.choice([500, 1024, 2048])),
        precision=Precision(gradient_bytes=float(rng.choice([2, 4]))),
        attention=AttentionStorage.STORED if stored else AttentionStorage.FLASH,
        is_causal=bool(rng.random() < 0.8),
    )


def random_degrees(rng: np.random.Generator, job: Training, num_dies: int) -> ParallelDegrees:
    """Any degrees that fit, uneven ones included."""
    tp = int(rng.integers(1, min(8, job.model.num_heads, num_dies) + 1))
    pp = int(rng.integers(1, min(4, job.model.num_layers, num_dies // tp) + 1))
    cp = int(rng.integers(1, min(3, num_dies // (tp * pp)) + 1))
    dp = int(rng.integers(1, min(job.global_batch_size, num_dies // (tp * pp * cp), 8) + 1))
    ep = expert_tp = 1
    if job.model.moe is not None:
        ranks = dp * cp * tp
        fitting = [e for e in range(1, ranks + 1) if ranks % e == 0]
        ep = int(rng.choice([e for e in fitting if e <= job.model.moe.num_experts]))
        expert_tp = int(rng.choice([e for e in fitting if (ranks // ep) % e == 0]))
    return ParallelDegrees(dp=dp, tp=tp, cp=cp, pp=pp, ep=ep, expert_tp=expert_tp)


def random_option(rng: np.random.Generator) -> Option:
    schedule = ScheduleName(rng.choice(list(ScheduleName)))
    is_interleaved = schedule is ScheduleName.INTERLEAVED
    return Option(
        sequence_parallel=bool(rng.random() < 0.5),
        micro_batch_size=int(rng.choice([1, 2, 3, 4])),
        zero=int(rng.integers(0, 4)),
        schedule=schedule,
        num_model_chunks=2 if is_interleaved else 1,
        recompute=Recompute(rng.choice(list(Recompute))),
    )


def random_overlap(rng: np.random.Generator) -> OverlapPolicy:
    return OverlapPolicy(
        gradients=bool(rng.random() < 0.5),
        parameters=bool(rng.random() < 0.5),
        pipeline=bool(rng.random() < 0.5),
        tensor=float(rng.choice([0.0, 0.6, 1.0])),
    )


def random_software(rng: np.random.Generator) -> Software:
    if rng.random() < 0.4:
        return Software()
    return Software(
        attention_forward=float(rng.uniform(0.3, 1.0)),
        attention_backward=float(rng.uniform(0.3, 1.0)),
        vector_traffic=float(rng.uniform(0.5, 2.0)),
        cast_bytes=float(rng.choice([0.0, 6.0])),
        gather_bytes=None if rng.random() < 0.5 else 4.0,
        selective_share=None if rng.random() < 0.5 else 0.5,
        interference=float(rng.uniform(0.0, 0.5)),
        jitter=float(rng.uniform(0.0, 0.05)),
        collectives=CollectiveLibrary(
            inside_efficiency=float(rng.uniform(0.5, 1.0)),
            inside_latency_s=float(rng.uniform(0.0, 3e-5)),
            across_efficiency=float(rng.uniform(0.5, 1.0)),
            across_latency_s=float(rng.uniform(0.0, 1e-4)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One strategy scored by the kernel and by the oracle."""

    strategy: str
    step_s: float
    memory_bytes: float
    bound_s: float
    oracle_step_s: float
    oracle_memory_bytes: float
    is_feasible: bool


def compare(seed: int, *, num_degrees: int = 3, num_options: int = 8) -> list[Comparison]:
    """Score a random space by the kernel, and each of its strategies by the oracle."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(SYSTEMS))
    spec, network = system_named(name), network_named(name)
    # enough memory that most strategies fit, and little enough that some do not
    capacity = float(rng.choice([1, 8, 30])) * 2**30
    memory = spec.die.memory.model_copy(update={"capacity_bytes": capacity})
    spec = spec.model_copy(update={"die": spec.die.model_copy(update={"memory": memory})})
    job = random_job(rng)
    scenario, overlap = Scenario(job=job, system=spec), random_overlap(rng)
    software = random_software(rng)
    placement = "sequential"
    placed = [(placement, random_degrees(rng, job, network.num_dies)) for _ in range(num_degrees)]
    options = [random_option(rng) for _ in range(num_options)]
    compiled = scorer(scenario, network, placed, options, overlap, software)
    out_RO2, _ = compiled.score(np.arange(len(compiled.placed)))
    bound_R = compiled.bound_s()
    found: list[Comparison] = []
    for r, (placement, degrees) in enumerate(placed):
        for o, option in enumerate(options):
            step_s, memory_bytes = (float(each) for each in out_RO2[r, o])
            if step_s < 0:
                continue
            setting = Setting(
                scenario=scenario,
                strategy=option.strategy(degrees, overlap, software),
                network=network,
                layout=network.layout(placement, degrees),
            )
            report = step_report(setting)
            found.append(
                Comparison(
                    strategy=f"seed {seed}, {name}: {setting.strategy}",
                    step_s=step_s,
                    memory_bytes=memory_bytes,
                    bound_s=float(bound_R[r]),
                    oracle_step_s=report.step_s,
                    oracle_memory_bytes=report.peak_memory.memory.total,
                    is_feasible=report.is_feasible,
                )
            )
    return found
