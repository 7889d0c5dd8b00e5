"""Systems with more or less of one resource: the input of every sensitivity analysis."""

import math
from enum import StrEnum
from typing import Any

from waferloom.hardware.spec import LinkSpec, SystemSpec


class Resource(StrEnum):
    """What `scaled` can change."""

    COMPUTE = "compute"
    DRAM_BANDWIDTH = "dram_bandwidth"
    DRAM_CAPACITY = "dram_capacity"
    LINK_BANDWIDTH = "link_bandwidth"
    LINK_LATENCY = "link_latency"


def scaled(system: SystemSpec, resource: Resource, factor: float) -> SystemSpec:
    """Return the system with `factor` times as much of a resource.

    Compute means every matrix peak and the vector peak; a link resource means every link: between
    dies, wafers, nodes and slices. Nothing else changes, so shared causes (a faster clock speeds
    up SRAM too) are left out on purpose.

    Args:
        system: The system to start from.
        resource: What to change.
        factor: Such as 1.1 for ten percent more.

    Raises:
        ValueError: The factor is not a positive finite number.

    Example:
        >>> from waferloom.hardware import system
        >>> more = scaled(system("temp-6x8"), Resource.DRAM_BANDWIDTH, 1.5)
        >>> more.die.memory.bandwidth_bytes_per_s
        1500000000000.0
    """
    if not (factor > 0 and math.isfinite(factor)):
        msg = f"the factor on {resource} must be positive and finite, found {factor}"
        raise ValueError(msg)
    die = system.die
    match resource:
        case Resource.COMPUTE:
            peaks = {dtype: peak * factor for dtype, peak in die.peak_flops_per_s.items()}
            change: dict[str, Any] = {
                "peak_flops_per_s": peaks,
                "vector_flops_per_s": die.vector_flops_per_s * factor,
            }
        case Resource.DRAM_BANDWIDTH:
            bandwidth = die.memory.bandwidth_bytes_per_s * factor
            change = {"memory": die.memory.model_copy(update={"bandwidth_bytes_per_s": bandwidth})}
        case Resource.DRAM_CAPACITY:
            capacity = die.memory.capacity_bytes * factor
            change = {"memory": die.memory.model_copy(update={"capacity_bytes": capacity})}
        case Resource.LINK_BANDWIDTH:
            return _with_links(system, "bandwidth_bytes_per_s", factor)
        case Resource.LINK_LATENCY:
            return _with_links(system, "latency_s", factor)
    return system.model_copy(update={"die": die.model_copy(update=change)})


def _with_links(system: SystemSpec, field: str, factor: float) -> SystemSpec:
    """Scale one field of every link of the interconnect."""
    net = system.interconnect
    links = {
        name: value.model_copy(update={field: getattr(value, field) * factor})
        for name, value in net
        if isinstance(value, LinkSpec)
    }
    return system.model_copy(update={"interconnect": net.model_copy(update=links)})
