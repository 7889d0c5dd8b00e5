"""The step: its parts, how it scales, and what each choice of software costs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    network_named,
    random_degrees,
    random_job,
    random_option,
    random_overlap,
    random_software,
    system_named,
)

from waferloom.hardware import system
from waferloom.hardware.resources import Resource, scaled
from waferloom.hardware.spec import MeshSpec, SystemSpec
from waferloom.mapping.layout import network_of
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.software import CollectiveLibrary, Software
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
    Strategy,
)
from waferloom.simulate.records import EnergyPart, StepReport, TimePart
from waferloom.simulate.step import Setting, die_of, step_report
from waferloom.workload.job import Training
from waferloom.workload.library import model
from waferloom.workload.parameters import count_parameters

SEEDS = st.integers(0, 2**32 - 1)


def score(spec: SystemSpec, job: Training, strategy: Strategy) -> StepReport:
    network = network_of(spec)
    return step_report(
        Setting(
            scenario=Scenario(job=job, system=spec),
            strategy=strategy,
            network=network,
            layout=network.layout("sequential", strategy.degrees),
        )
    )


def random_setting(seed: int, name: str = "temp-6x8") -> Setting:
    rng = np.random.default_rng(seed)
    network = network_named(name)
    job = random_job(rng)
    while True:
        degrees = random_degrees(rng, job, network.num_dies)
        option = random_option(rng)
        if option.num_model_chunks * degrees.pp <= job.model.num_layers:
            break
    strategy = option.strategy(degrees, random_overlap(rng), random_software(rng))
    return Setting(
        scenario=Scenario(job=job, system=system_named(name)),
        strategy=strategy,
        network=network,
        layout=network.layout("sequential", degrees),
    )


@settings(max_examples=25)
@given(seed=SEEDS, name=st.sampled_from(["temp-6x8", "temp-wafers", "dgx-h100:4"]))
def test_the_parts_add_up_to_the_step(seed: int, name: str):
    report = step_report(random_setting(seed, name))
    assert sum(report.parts_s.values()) == pytest.approx(report.step_s, rel=1e-12)
    assert set(report.parts_s) == set(TimePart)
    assert all(part >= -1e-12 * report.step_s for part in report.parts_s.values())


def without_latencies(spec: SystemSpec) -> SystemSpec:
    assert isinstance(spec.interconnect, MeshSpec)
    link = spec.interconnect.link.model_copy(update={"latency_s": 0.0})
    starts = {"launch_s": 0.0, "split_k_s": 0.0, "attention_launch_s": 0.0}
    efficiency = spec.die.efficiency.model_copy(update=starts)
    return spec.model_copy(
        update={
            "interconnect": spec.interconnect.model_copy(update={"link": link}),
            "die": spec.die.model_copy(update={"efficiency": efficiency}),
        }
    )


def twice_as_fast(spec: SystemSpec) -> SystemSpec:
    for resource in (Resource.COMPUTE, Resource.DRAM_BANDWIDTH, Resource.LINK_BANDWIDTH):
        spec = scaled(spec, resource, 2.0)
    cores = spec.die.cores
    if cores.noc_bandwidth_bytes_per_s is not None:
        noc = {"noc_bandwidth_bytes_per_s": 2 * cores.noc_bandwidth_bytes_per_s}
        cores = cores.model_copy(update=noc)
    return spec.model_copy(update={"die": spec.die.model_copy(update={"cores": cores})})


@settings(max_examples=15)
@given(seed=SEEDS)
def test_without_latencies_twice_the_rates_halve_the_step(seed: int):
    setting = random_setting(seed)
    software = replace(setting.strategy.software, collectives=CollectiveLibrary())
    strategy = replace(setting.strategy, software=software)
    slow = without_latencies(setting.scenario.system)
    times = [score(spec, setting.job, strategy).step_s for spec in (slow, twice_as_fast(slow))]
    assert times[0] == pytest.approx(2 * times[1], rel=1e-9)


LLAMA = Training(model=model("llama3-8b"), global_batch_size=64, seq_len=4096)
DGX = system("dgx-h100:2")
FSDP = Strategy(degrees=ParallelDegrees(dp=16), zero=3, recompute=Recompute.FULL)
TENSOR = Strategy(degrees=ParallelDegrees(tp=8, dp=2), sequence_parallel=True)


@pytest.mark.parametrize(
    ("base", "software", "part"),
    [
        (FSDP, Software(attention_forward=0.5), TimePart.FORWARD),
        (FSDP, Software(attention_backward=0.5), TimePart.BACKWARD),
        (FSDP, Software(vector_traffic=2.0), TimePart.FORWARD),
        (FSDP, Software(cast_bytes=6.0), TimePart.BACKWARD),
        (FSDP, Software(interference=0.3), TimePart.CONTENTION),
        (FSDP, Software(jitter=0.02), TimePart.STRAGGLERS),
        (TENSOR, Software(collectives=CollectiveLibrary(inside_efficiency=0.5)), TimePart.TP),
        (TENSOR, Software(collectives=CollectiveLibrary(inside_latency_s=1e-4)), TimePart.TP),
    ],
    ids=lambda value: str(value) if isinstance(value, TimePart) else "",
)
def test_what_software_costs_shows_in_its_part(base: Strategy, software: Software, part: TimePart):
    before = score(DGX, LLAMA, base)
    after = score(DGX, LLAMA, replace(base, software=software))
    assert after.step_s > before.step_s
    assert after.parts_s[part] > before.parts_s[part]


def test_casts_move_their_bytes_before_forward_recompute_and_after_backward():
    cast_bytes = 6.0
    plain = score(DGX, LLAMA, FSDP)
    cast = score(DGX, LLAMA, replace(FSDP, software=Software(cast_bytes=cast_bytes)))
    efficiency, memory = DGX.die.efficiency, DGX.die.memory
    num_parameters = 8.03e9
    once_s = cast_bytes * num_parameters / (memory.bandwidth_bytes_per_s * efficiency.dram)
    n = cast.num_micro_batches
    starts_s = n * 34 * efficiency.launch_s
    for part in (TimePart.FORWARD, TimePart.BACKWARD):
        added = cast.parts_s[part] - plain.parts_s[part]
        assert added == pytest.approx(n * once_s + starts_s, rel=1e-3)
    # recomputation repeats the casts of the 32 layers only
    layers = 1 - 2 * 128256 * 4096 / num_parameters
    added = cast.parts_s[TimePart.RECOMPUTE] - plain.parts_s[TimePart.RECOMPUTE]
    assert added == pytest.approx(n * once_s * layers + starts_s, rel=2e-3)


def test_attention_runs_in_16_bits_whatever_the_matmuls_do():
    narrow = replace(LLAMA, precision=replace(LLAMA.precision, compute="fp8"))
    dies = [die_of(Scenario(job=job, system=DGX)) for job in (LLAMA, narrow)]
    assert dies[1].core_flops_per_s > 1.9 * dies[0].core_flops_per_s
    for name in ("attention_forward_flops_per_s", "attention_backward_flops_per_s"):
        assert getattr(dies[0], name) == pytest.approx(getattr(dies[1], name), rel=1e-12)


def test_hidden_tensor_communication_is_exposed_no_more():
    exposed = score(DGX, LLAMA, TENSOR)
    half = score(DGX, LLAMA, replace(TENSOR, overlap=OverlapPolicy(tensor=0.5)))
    hidden = score(DGX, LLAMA, replace(TENSOR, overlap=OverlapPolicy(tensor=1.0)))
    assert half.parts_s[TimePart.TP] == pytest.approx(exposed.parts_s[TimePart.TP] / 2)
    assert hidden.parts_s[TimePart.TP] == 0
    assert hidden.step_s < half.step_s < exposed.step_s


def test_selective_recomputation_repeats_attention_or_the_stated_share():
    selective = replace(TENSOR, recompute=Recompute.SELECTIVE)
    attention = score(DGX, LLAMA, selective).parts_s[TimePart.RECOMPUTE]
    full = score(DGX, LLAMA, replace(TENSOR, recompute=Recompute.FULL)).parts_s[TimePart.RECOMPUTE]
    half = score(DGX, LLAMA, replace(selective, software=Software(selective_share=0.5)))
    assert 0 < attention < full
    assert half.parts_s[TimePart.RECOMPUTE] == pytest.approx((full - attention) / 2)


def test_a_pipeline_of_equal_stages_loses_the_bubble_of_its_schedule():
    shape = model("llama3-8b")
    job = replace(LLAMA, global_batch_size=32)
    wafer = system("temp-6x8")
    strategy = Strategy(degrees=ParallelDegrees(pp=4, tp=4))
    plain = score(wafer, job, strategy)
    interleaved = replace(strategy, schedule=ScheduleName.INTERLEAVED, num_model_chunks=2)
    assert shape.num_layers % 8 == 0
    bubble = plain.parts_s[TimePart.BUBBLE]
    assert bubble > 0
    assert score(wafer, job, interleaved).parts_s[TimePart.BUBBLE] == pytest.approx(
        bubble / 2, rel=0.02
    )


def test_a_plan_that_does_not_fit_says_by_how_much():
    report = score(system("dgx-h100:1"), LLAMA, Strategy(degrees=ParallelDegrees(dp=8)))
    (violation,) = report.violations
    assert violation.what == "dram_capacity"
    assert violation.needed > violation.available
    assert "too much" in violation.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"vector_traffic": 0.0},
        {"jitter": -1.0},
        {"interference": float("nan")},
        {"gather_bytes": -2.0},
    ],
)
def test_software_out_of_range_is_refused_by_name(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Software(**wrong)


def test_the_slowest_of_many_is_a_few_deviations_behind():
    rng = np.random.default_rng(0)
    software = Software(jitter=0.01)
    assert software.slowest_of(1) == 1
    for num_ranks in (8, 128, 4096):
        drawn = rng.normal(1.0, 0.01, size=(300, num_ranks)).max(axis=1).mean()
        assert software.slowest_of(num_ranks) == pytest.approx(drawn, abs=0.007)
        assert software.slowest_of(num_ranks) > drawn


def test_energy_counts_the_update_and_what_crosses_a_die():
    spec, strategy = system("watos-config3"), Strategy(degrees=ParallelDegrees(dp=8))
    job = Training(model("llama2-7b"), global_batch_size=8, seq_len=1024)
    richer = replace(job, precision=replace(job.precision, optimizer_bytes=12.0))
    report, more = score(spec, job, strategy), score(spec, richer, strategy)
    # four bytes more per parameter and replica, read and written
    moved = 2 * 4 * count_parameters(job.model).total * strategy.degrees.dp
    more_j = more.energy_j[EnergyPart.DRAM] - report.energy_j[EnergyPart.DRAM]
    assert more_j == pytest.approx(moved * spec.die.memory.energy_j_per_byte, rel=1e-6)
    assert report.energy_j[EnergyPart.NOC] > 0  # its file states an energy per bit inside a die
