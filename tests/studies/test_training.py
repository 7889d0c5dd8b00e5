"""Published training runs: reading them, simulating them, and what the comparison says."""

import csv
import io
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.errors import SpecError
from waferloom.parallel.strategy import ParallelDegrees, Recompute, ScheduleName, Strategy
from waferloom.studies.data_directory import find_data
from waferloom.studies.stacks import FITTED, stacks
from waferloom.studies.training_document import training_markdown
from waferloom.studies.training_rows import (
    READERS,
    TrainingRow,
    UnusableRow,
    read_table,
    read_training_rows,
)
from waferloom.studies.validate_training import (
    RowResult,
    Runner,
    TrainingValidation,
    constant_mfu_errors,
    families_of,
    pooled,
    system_of,
    validate_training,
)
from waferloom.workload.library import model

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "golden/training.toml").read_text("utf-8"))


def row_of(golden: dict[str, Any]) -> TrainingRow:
    shape = model(golden["model"])
    recompute = golden.get("recompute")
    degrees = ParallelDegrees(**golden["degrees"])
    batch, seq_len = golden["global_batch_size"], golden["seq_len"]
    step_s = golden.get("step_s") or batch * seq_len / (
        golden["tokens_per_s_per_device"] * degrees.num_ranks
    )
    return TrainingRow(
        id=golden["id"],
        stack=golden["stack"],
        device=golden["device"],
        num_devices=degrees.num_ranks,
        model=shape,
        dtype=golden["dtype"],
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=degrees,
        num_model_chunks=golden.get("num_model_chunks"),
        micro_batch_size=golden.get("micro_batch_size"),
        recompute=None if recompute is None else Recompute(recompute),
        sequence_parallel=golden["sequence_parallel"],
        zero=golden["zero"],
        step_s=step_s,
        source=golden["source"],
    )


@pytest.mark.parametrize("golden", GOLDEN["row"], ids=lambda golden: golden["id"])
def test_a_published_run_takes_the_time_it_took(golden: dict[str, Any]):
    result = Runner().run(row_of(golden))
    assert result.step_s == pytest.approx(result.row.step_s, rel=golden["rel_tol"]), golden[
        "why_tol"
    ]


def test_golden_rows_span_stacks_devices_and_scales():
    rows = [row_of(golden) for golden in GOLDEN["row"]]
    assert len(rows) >= 24
    assert len({row.stack for row in rows}) >= 6
    assert {row.device for row in rows} >= {"dgx-a100", "dgx-a100-40gb", "dgx-h100"}
    assert max(row.num_devices for row in rows) >= 1000


COLUMNS = {
    "train_llm_foundry_mpt.csv": "section,model,params,seq_len,n_gpus,gpu,mfu_pct,hfu_pct,"
    "model_tflops_per_gpu,mbs,grad_accum,gbs_seqs,tokens_per_s,tokens_per_s_per_gpu,precision,"
    "mp_mode,sharding,act_ckpt,act_cpu_offload,source,provenance",
    "train_torchtitan.csv": "model,hardware,n_gpus,parallelism,seq_len,local_batch,global_batch,"
    "act_ckpt,technique,tokens_per_s_per_gpu,memory_gib,note,source,provenance",
    "train_nvidia_megatron_bridge.csv": "release,phase,model,system,n_gpus,precision,gbs,mbs,"
    "seq_len,fsdp_shards,tp,pp,cp,vp,ep,ga,tokens_per_s_per_gpu,model_tflops_per_gpu,"
    "moe_routing,note,source,provenance",
}


def read_one(tmp_path: Path, table: str, **cells: object) -> TrainingRow | UnusableRow:
    names = COLUMNS[table].split(",")
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerow(dict.fromkeys(names, "") | cells)
    path = tmp_path / table
    path.write_text(text.getvalue(), encoding="utf-8")
    (row,) = read_table(path, READERS[table])
    return row


FOUNDRY = {
    "model": "MPT-7b",
    "seq_len": 2048,
    "n_gpus": 16,
    "gpu": "h100_80gb",
    "mbs": 6,
    "gbs_seqs": 192,
    "tokens_per_s": 393216,
    "precision": "amp_bf16",
    "mp_mode": "DEFAULT",
    "sharding": "SHARD_GRAD_OP",
    "act_ckpt": "True",
    "act_cpu_offload": "False",
    "source": "somewhere",
}


def test_an_fsdp_run_is_data_parallel_over_all_its_devices(tmp_path: Path):
    row = read_one(tmp_path, "train_llm_foundry_mpt.csv", **FOUNDRY)
    assert isinstance(row, TrainingRow)
    assert row.degrees == ParallelDegrees(dp=16)
    assert (row.zero, row.recompute, row.micro_batch_size) == (2, Recompute.FULL, 6)
    assert row.step_s == 1.0
    assert row.tokens_per_s_per_device == 24576
    assert row.system == "dgx-h100:2"
    assert row.family == "dgx-h100 llm-foundry bf16"


def test_a_torchtitan_run_is_read_from_its_words(tmp_path: Path):
    row = read_one(
        tmp_path,
        "train_torchtitan.csv",
        model="Llama3.1-405B",
        n_gpus=512,
        parallelism="FSDP8 TP8 PP8",
        seq_len=8192,
        local_batch=32,
        act_ckpt="full",
        technique="compile+float8+AsyncTP, 1F1B",
        tokens_per_s_per_gpu=100,
    )
    assert isinstance(row, TrainingRow)
    assert row.degrees == ParallelDegrees(dp=8, tp=8, pp=8)
    assert (row.stack, row.dtype, row.micro_batch_size) == ("torchtitan-async-tp", "fp8", 1)
    assert row.global_batch_size == 256
    assert row.step_s == pytest.approx(256 * 8192 / (100 * 512))


@pytest.mark.parametrize(
    ("table", "cells", "reason"),
    [
        ("train_llm_foundry_mpt.csv", FOUNDRY | {"act_cpu_offload": "True"}, "host"),
        ("train_llm_foundry_mpt.csv", FOUNDRY | {"model": "MPT-99b"}, "mpt-99b"),
        ("train_llm_foundry_mpt.csv", FOUNDRY | {"gpu": "v100"}, "no preset for v100"),
        (
            "train_nvidia_megatron_bridge.csv",
            {"phase": "LoRA", "model": "LLAMA3_70B", "system": "DGX-H100"},
            "not pre-training",
        ),
        (
            "train_nvidia_megatron_bridge.csv",
            {"phase": "Pre-Training", "model": "Unheard-of", "system": "DGX-H100"},
            "no preset for the model",
        ),
    ],
)
def test_a_run_that_cannot_be_simulated_says_why(
    tmp_path: Path, table: str, cells: dict[str, object], reason: str
):
    row = read_one(tmp_path, table, **cells)
    assert isinstance(row, UnusableRow)
    assert reason in row.reason


def test_a_cell_that_is_no_number_names_its_line(tmp_path: Path):
    with pytest.raises(SpecError, match="line 2"):
        read_one(tmp_path, "train_llm_foundry_mpt.csv", **FOUNDRY | {"mbs": "six"})


def test_a_missing_table_names_the_option_that_finds_it(tmp_path: Path):
    with pytest.raises(SpecError, match="--data"):
        read_training_rows(tmp_path)


def result_of(measured_s: float, flops_s: float, step_s: float = 1.0) -> RowResult:
    row = row_of(GOLDEN["row"][0] | {"step_s": measured_s})
    strategy = Strategy(degrees=row.degrees)
    return RowResult(row=row, strategy=strategy, step_s=step_s, is_feasible=True, flops_s=flops_s)


@given(
    pairs=st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.1, 10.0)), min_size=1, max_size=7)
)
def test_the_constant_mfu_is_the_one_that_fits_best(pairs: list[tuple[float, float]]):
    results = [result_of(measured, flops) for measured, flops in pairs]
    found = np.mean(np.abs(constant_mfu_errors(results)))
    ratios = np.array([flops / measured for measured, flops in pairs])
    tried = [np.mean(np.abs(k * ratios - 1)) for k in np.geomspace(1e-3, 1e3, 4000)]
    assert found <= min(tried) + 1e-9


def test_skill_is_what_is_removed_of_the_constants_error():
    # two runs at 50 % and 25 % MFU: the best constant is right about one and 50 % off on the other
    results = [result_of(2.0, 1.0, 2.2), result_of(4.0, 1.0, 3.6)]
    family = pooled("two", results)
    assert family.bias == pytest.approx(0.0)
    assert family.mape == pytest.approx(0.1)
    assert family.constant_mape == pytest.approx(0.25)
    assert family.skill == pytest.approx(0.6)
    assert [each.num_rows for each in families_of(results)] == [2]


def test_what_is_not_printed_is_the_fastest_choice_that_fits():
    golden = next(row for row in GOLDEN["row"] if "micro_batch_size" not in row)
    row, runner = row_of(golden), Runner()
    chosen = runner.run(row)
    assert chosen.is_feasible
    for micro_batch_size in (1, 2, 4):
        single = Strategy(
            degrees=row.degrees,
            micro_batch_size=micro_batch_size,
            recompute=row.recompute or Recompute.NONE,
            schedule=ScheduleName.ONE_F_ONE_B,
            sequence_parallel=row.sequence_parallel,
            zero=row.zero,
        )
        other = runner.run(row, single)
        assert not other.is_feasible or other.step_s >= chosen.step_s * (1 - 1e-12)


def test_racks_are_used_in_blocks_that_groups_fit():
    row = row_of(GOLDEN["row"][0])

    several = replace(row, device="gb200-nvl72", num_devices=256)
    assert system_of(several).grid_shape == (4, 64)
    assert system_of(replace(several, num_devices=64)).grid_shape == (1, 72)


def test_every_stack_says_why_its_numbers_are_what_they_are():
    for name, stack in stacks(FITTED).items():
        assert stack.why, name
        assert 0.3 < stack.vector_traffic < 3, name


@pytest.fixture(scope="module")
def validation() -> TrainingValidation:
    try:
        data_dir = find_data()
    except SpecError as error:
        pytest.skip(str(error))
    return validate_training(data_dir)


@pytest.mark.slow
def test_the_acceptance_rows_meet_both_targets(validation: TrainingValidation):
    accepted = validation.accepted
    assert accepted.num_rows >= 120
    assert accepted.skill is not None
    assert validation.is_met, f"MAPE {accepted.mape:.1%}, skill {accepted.skill:.2f}"


@pytest.mark.slow
def test_the_page_names_every_family_and_every_reason(validation: TrainingValidation):
    page = training_markdown(validation)
    for family in (*validation.families, *validation.accepted_families):
        assert f"| {family.name} | {family.num_rows} |" in page
    for row in validation.unusable:
        assert row.reason in page
    assert ("targets met" in page) == validation.is_met
