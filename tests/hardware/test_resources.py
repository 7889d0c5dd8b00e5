"""Scaling one resource changes that resource everywhere and nothing else."""

from typing import Any

import pytest

from waferloom.hardware import Resource, scaled, system

SYSTEMS = ["temp-6x8", "temp-wafers", "dgx-h100", "tpu-v5e:2"]
CHANGED = {
    Resource.COMPUTE: ("peak_flops_per_s", "vector_flops_per_s"),
    Resource.DRAM_BANDWIDTH: ("memory.bandwidth_bytes_per_s",),
    Resource.DRAM_CAPACITY: ("memory.capacity_bytes",),
    Resource.LINK_BANDWIDTH: ("link.bandwidth_bytes_per_s",),
    Resource.LINK_LATENCY: ("link.latency_s",),
}


def numbers(table: dict[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            found[prefix + key] = value
    return found


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("resource", list(Resource))
def test_only_the_named_resource_changes(name: str, resource: Resource) -> None:
    before = numbers(system(name).model_dump(mode="json"))
    after = numbers(scaled(system(name), resource, 1.25).model_dump(mode="json"))
    assert before.keys() == after.keys()
    changed = {key for key in before if after[key] != before[key]}
    expected = {key for key in before if any(part in key for part in CHANGED[resource])}
    assert changed == expected
    assert changed
    for key in changed:
        assert after[key] == pytest.approx(1.25 * before[key], rel=1e-12)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_is_no_amount_is_refused(factor: float) -> None:
    for resource in Resource:
        with pytest.raises(ValueError, match="positive and finite"):
            scaled(system("temp-6x8"), resource, factor)
