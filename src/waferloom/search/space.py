"""Spaces of strategies: what a solver may choose from.

The declared space holds every strategy whose degrees use more than half of the usable dies (fewer
would leave room to double dp; any number where nothing uses as many) and whose options come from
the tuples of a `Space`; pinned fields have one value each. On more than 64 dies it is coarser:
seven eighths of the dies, tp, cp and pp at most an eighth apart or divisors of the dies, and the
largest dp that fits or that also divides the batch. A solver that calls itself exhaustive is exact
over this space.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final, TypeVar

from waferloom.errors import SolverError, SpecError, did_you_mean
from waferloom.hardware.spec import SystemSpec, WaferGridSpec
from waferloom.mapping.placements import PLACEMENTS
from waferloom.parallel.software import IDEAL, Software
from waferloom.parallel.strategy import (
    OverlapPolicy,
    ParallelDegrees,
    Recompute,
    ScheduleName,
)
from waferloom.simulate.score import Option
from waferloom.workload.job import AttentionStorage, Training

MIN_DIE_SHARE: Final = 0.5
"""Strategies must use more than this share of the usable dies, if any strategy does."""
LARGE_SYSTEM: Final = 64
LARGE_MIN_DIE_SHARE: Final = 0.875
"""The same for systems of more than `LARGE_SYSTEM` dies, whose tp, cp and pp are also coarser."""

Choice = TypeVar("Choice")
Choices = TypeVar("Choices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What may be chosen.

    Attributes:
        name: For reports.
        pinned: Degree -> the one value it may have.
        sequence_parallel: Choices.
        zero: Choices.
        schedules: Choices; interleaved comes with every entry of `model_chunks`.
        model_chunks: Virtual stages per rank of the interleaved schedule.
        micro_batch_sizes: Choices; None for the powers of two up to the batch.
        recompute: Choices; `selective` is left out where flash attention makes it the same as none.
        placements: Names of placements.
        overlap: What runs behind compute, the same for all.
        software: What the training stack costs, the same for all.
    """

    name: str = "all"
    pinned: Mapping[str, int] = field(default_factory=dict[str, int])
    sequence_parallel: tuple[bool, ...] = (False, True)
    zero: tuple[int, ...] = (0, 1, 2, 3)
    schedules: tuple[ScheduleName, ...] = (
        ScheduleName.ONE_F_ONE_B,
        ScheduleName.ZERO_BUBBLE,
        ScheduleName.INTERLEAVED,
        ScheduleName.GPIPE,
    )
    model_chunks: tuple[int, ...] = (2, 4, 8)
    micro_batch_sizes: tuple[int, ...] | None = None
    recompute: tuple[Recompute, ...] = tuple(Recompute)
    placements: tuple[str, ...] = tuple(PLACEMENTS)
    overlap: OverlapPolicy = field(default_factory=OverlapPolicy)
    software: Software = IDEAL

    def describe(self) -> str:
        """Return the space in words."""
        pins = ", ".join(f"{name}={value}" for name, value in self.pinned.items())
        parts = [self.name, f"pinned: {pins}" if pins else "all degrees free"]
        parts.append(f"placements: {', '.join(self.placements)}")
        return "; ".join(parts)

    def degrees(self, job: Training, num_dies: int) -> tuple[ParallelDegrees, ...]:
        """Return every admissible combination of degrees, those using most dies first.

        Raises:
            SolverError: The pinned degrees alone exceed the dies, or nothing is left.
        """
        share = LARGE_MIN_DIE_SHARE if num_dies > LARGE_SYSTEM else MIN_DIE_SHARE
        # a small batch, or a pin, may leave nothing that uses so many dies
        admissible = set(self._degrees(job, num_dies, share)) or set(
            self._degrees(job, num_dies, 0.0)
        )
        found = sorted(
            admissible, key=lambda d: (-d.num_ranks, d.pp, d.cp, d.tp, d.ep, d.expert_tp)
        )
        if not found:
            pins = " * ".join(f"{name}={value}" for name, value in self.pinned.items())
            msg = (
                f"no combination of degrees fits: {pins or 'nothing pinned'} on {num_dies} usable "
                f"dies, {job.model.num_layers} layers and a batch of {job.global_batch_size}; "
                f"lower a degree or pick a larger system"
            )
            raise SolverError(msg)
        return tuple(found)

    def _degrees(self, job: Training, num_dies: int, min_share: float) -> Iterator[ParallelDegrees]:
        limits = {
            "pp": job.model.num_layers,
            "tp": job.model.num_heads,
            "cp": job.seq_len,
            "dp": job.global_batch_size,
        }

        def choices(name: str, room: int) -> tuple[int, ...]:
            top = min(room, limits[name])
            if name in self.pinned:
                return (self.pinned[name],) if self.pinned[name] <= top else ()
            if num_dies <= LARGE_SYSTEM:
                return tuple(range(1, top + 1))
            if name != "dp":
                return tuple(n for n in coarse_degrees(num_dies) if n <= top)
            even = max(n for n in range(1, top + 1) if job.global_batch_size % n == 0)
            return tuple(sorted({even, top}))

        for pp in choices("pp", num_dies):
            for tp in choices("tp", num_dies // pp):
                for cp in choices("cp", num_dies // (pp * tp)):
                    for dp in choices("dp", num_dies // (pp * tp * cp)):
                        used = pp * tp * cp * dp
                        if used > min_share * num_dies:
                            for ep, expert_tp in self._experts(job, dp * cp * tp, tp):
                                yield ParallelDegrees(
                                    dp=dp, tp=tp, cp=cp, pp=pp, ep=ep, expert_tp=expert_tp
                                )

    def _experts(self, job: Training, ranks: int, tp: int) -> Iterator[tuple[int, int]]:
        if job.model.moe is None:
            if self.pinned.get("ep", 1) == 1 and self.pinned.get("expert_tp", 1) == 1:
                yield 1, 1
            return
        experts = job.model.moe.num_experts
        for expert_tp in sorted({1, tp, self.pinned.get("expert_tp", 1)}):
            seen: set[int] = set()
            for ep in range(1, min(experts, ranks // expert_tp) + 1):
                if ranks % (ep * expert_tp) != 0:
                    continue
                # more ranks that hold as many experts each only exchange more
                per_rank = -(-experts // ep)
                if per_rank in seen and "ep" not in self.pinned:
                    continue
                seen.add(per_rank)
                chosen = {"ep": ep, "expert_tp": expert_tp}
                if all(self.pinned.get(name, value) == value for name, value in chosen.items()):
                    yield ep, expert_tp

    def options(self, job: Training) -> tuple[Option, ...]:
        """Return every combination of the other choices, simpler ones first."""
        pipelines = [
            (schedule, chunks)
            for schedule in self.schedules
            for chunks in (self.model_chunks if schedule is ScheduleName.INTERLEAVED else (1,))
        ]
        return tuple(
            Option(
                sequence_parallel=sequence_parallel,
                micro_batch_size=size,
                zero=zero,
                schedule=schedule,
                num_model_chunks=chunks,
                recompute=recompute,
            )
            for recompute, zero, (schedule, chunks), sequence_parallel, size in product(
                self._recompute(job),
                self.zero,
                pipelines,
                self.sequence_parallel,
                self.micro_batch_sizes or powers_of_two(job.global_batch_size),
            )
        )

    def _recompute(self, job: Training) -> tuple[Recompute, ...]:
        if job.attention is AttentionStorage.STORED or len(self.recompute) == 1:
            return self.recompute
        return tuple(each for each in self.recompute if each is not Recompute.SELECTIVE)


def coarse_degrees(num_dies: int) -> tuple[int, ...]:
    """Return the degrees that are tried on a large system: at most an eighth apart, and divisors.

    Example:
        >>> [n for n in coarse_degrees(100) if n <= 32]
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 25, 26, 28, 30, 32]
    """
    return tuple(
        n
        for n in range(1, num_dies + 1)
        if n % 2 ** max(0, n.bit_length() - 4) == 0 or num_dies % n == 0
    )


def powers_of_two(limit: int) -> tuple[int, ...]:
    """Return 1, 2, 4 ... up to `limit`."""
    return tuple(2**i for i in range(limit.bit_length()) if 2**i <= limit)


def everything(system: SystemSpec) -> Space:
    """Return the space of all classical strategies; placements matter only on a grid of dies."""
    if not system.has_grid:
        return Space(placements=("sequential",))
    return Space()


def _wafer_pipeline(system: SystemSpec) -> dict[str, int]:
    """Pin pp to the number of wafers: there, the baselines use pipelines between wafers only.

    Source:
        TEMP (arXiv 2512.14256), section VIII; on GPU clusters Megatron's pp is free.
    """
    net = system.interconnect
    if isinstance(net, WaferGridSpec):
        return {"pp": net.wafer_rows * net.wafer_cols}
    return {"pp": 1} if system.is_wafer else {}


def megatron1(system: SystemSpec) -> Space:
    """Megatron-1: data and tensor parallelism, activations replicated in the tp group."""
    return replace(
        everything(system),
        name="baseline:megatron1",
        pinned={"cp": 1, **_wafer_pipeline(system)},
        sequence_parallel=(False,),
        zero=(0,),
        schedules=(ScheduleName.ONE_F_ONE_B,),
    )


def mesp(system: SystemSpec) -> Space:
    """Megatron-3 (MeSP): data, tensor with sequence parallelism, and context parallelism."""
    return replace(
        everything(system),
        name="baseline:mesp",
        pinned=_wafer_pipeline(system),
        sequence_parallel=(False, True),
        zero=(0, 1),
        schedules=(ScheduleName.ONE_F_ONE_B,),
    )


def fsdp(system: SystemSpec) -> Space:
    """FSDP: data parallelism with weights, gradients and optimizer state sharded."""
    return replace(
        everything(system),
        name="baseline:fsdp",
        pinned={"tp": 1, "cp": 1, "pp": 1, **_wafer_pipeline(system)},
        sequence_parallel=(False,),
        zero=(3,),
        schedules=(ScheduleName.ONE_F_ONE_B,),
    )


SPACES: Final[Mapping[str, Callable[[SystemSpec], Space]]] = {
    "exhaustive": everything,
    "baseline:megatron1": megatron1,
    "baseline:mesp": mesp,
    "baseline:fsdp": fsdp,
}


def space_named(name: str, system: SystemSpec) -> Space:
    """Return the space of a `--solver` name.

    Raises:
        SpecError: There is no such solver.
    """
    if name not in SPACES:
        msg = f"unknown solver {name!r}: {did_you_mean(name, SPACES)}"
        raise SpecError(msg)
    return SPACES[name](system)


def pinned_space(
    name: str,
    system: SystemSpec,
    *,
    pinned: Mapping[str, int],
    sequence_parallel: bool | None = None,
    zero: int | None = None,
    micro_batch_size: int | None = None,
    recompute: str | None = None,
    schedule: str | None = None,
    model_chunks: int | None = None,
    placement: str | None = None,
    overlap: OverlapPolicy | None = None,
    software: Software = IDEAL,
) -> Space:
    """Return the space of a solver with some choices pinned; None leaves a choice free.

    Raises:
        SpecError: Unknown solver, or a pin that its space does not contain.
    """
    space = space_named(name, system)
    faults = [
        f"{degree} = {value} (it has {space.pinned[degree]})"
        for degree, value in pinned.items()
        if space.pinned.get(degree, value) != value
    ]
    if sequence_parallel is not None and sequence_parallel not in space.sequence_parallel:
        faults.append(f"sequence_parallel = {sequence_parallel}")
    if zero is not None and zero not in space.zero:
        faults.append(f"zero = {zero} (it has {', '.join(map(str, space.zero))})")
    if schedule is not None and ScheduleName(schedule) not in space.schedules:
        faults.append(f"schedule = {schedule}")
    for what, value in (("micro_batch_size", micro_batch_size), ("model_chunks", model_chunks)):
        if value is not None and value < 1:
            faults.append(f"{what} = {value} (it must be at least 1)")
    if faults:
        msg = f"{name} cannot have {'; '.join(faults)}"
        raise SpecError(msg)
    return replace(
        space,
        pinned={**space.pinned, **pinned},
        sequence_parallel=_only(sequence_parallel, space.sequence_parallel),
        zero=_only(zero, space.zero),
        micro_batch_sizes=_only(micro_batch_size, space.micro_batch_sizes),
        recompute=_only(Recompute(recompute) if recompute else None, space.recompute),
        schedules=_only(ScheduleName(schedule) if schedule else None, space.schedules),
        model_chunks=_only(model_chunks, space.model_chunks),
        placements=_only(placement, space.placements),
        overlap=overlap or space.overlap,
        software=software,
    )


def _only(value: Choice | None, choices: Choices) -> Choices | tuple[Choice]:
    return choices if value is None else (value,)
