"""Every decoder model of the three papers plans on its paper's wafer, or says what does not fit."""

import pytest

from waferloom.hardware import system
from waferloom.search.planner import plan
from waferloom.workload.job import Training
from waferloom.workload.library import model

SMALL = {
    "temp-6x8": ("gpt3-6.7b", "llama2-7b", "llama3-70b", "gpt3-76b", "gpt3-175b", "opt-175b"),
    "temp-4x8": ("gpt3-6.7b", "llama2-7b", "llama3-70b", "gpt3-76b", "gpt3-175b", "opt-175b"),
    "watos-config3": ("llama2-30b", "llama3-70b", "gshard-137b", "gpt3-175b", "llama-65b"),
}
LARGE = {
    "temp-6x8": ("bloom-176b", "llama2-70b"),
    "temp-wafers:6": ("gpt3-504b",),
    "watos-wafers:4": ("deepseek-v3",),
    "moentwine-8x8": ("deepseek-v3", "deepseek-v2", "qwen3-235b-a22b", "dbrx", "mixtral-8x22b"),
}
CANNOT_FIT = {
    # state of 16 bytes per parameter alone exceeds all memory of the wafer
    ("temp-4x8", "gpt3-175b"),
    ("temp-4x8", "opt-175b"),
}


def pairs(cases: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(system_name, name) for system_name, names in cases.items() for name in names]


def check(system_name: str, name: str) -> None:
    config = model(name)
    seq_len = min(4096, config.max_position_embeddings or 4096)
    solution = plan(Training(config, global_batch_size=128, seq_len=seq_len), system(system_name))
    if (system_name, name) in CANNOT_FIT:
        violation = solution.report.violations[0]
        assert violation.what == "dram_capacity"
        assert violation.needed > violation.available
        assert "pipeline rank" in violation.message
        return
    assert solution.report.is_feasible
    assert 0.05 < solution.report.mfu < 1
    assert 0 <= solution.gap < 1


@pytest.mark.parametrize(("system_name", "name"), pairs(SMALL))
def test_a_dense_model_of_a_paper_plans_on_its_wafer(system_name: str, name: str) -> None:
    check(system_name, name)


@pytest.mark.slow
@pytest.mark.parametrize(("system_name", "name"), pairs(LARGE))
def test_a_large_model_of_a_paper_plans_on_its_wafers(system_name: str, name: str) -> None:
    check(system_name, name)
