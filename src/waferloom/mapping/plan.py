"""`Plan`: everything that is decided about a run, in one frozen record and one JSON file."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from pydantic import TypeAdapter, ValidationError

from waferloom.errors import PlanError
from waferloom.hardware.spec import SystemSpec
from waferloom.mapping.scenario import Scenario
from waferloom.parallel.memory import MemoryBreakdown
from waferloom.parallel.stages import Stage, stages_of
from waferloom.parallel.strategy import Strategy
from waferloom.workload.job import Training

PLAN_FORMAT: Final = "waferloom-plan"
PLAN_VERSION: Final = 1
ROUTING: Final = "xy"
"""The routes that steps are simulated on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a plan comes from.

    Attributes:
        waferloom_version: Of the package that wrote it.
        solver: Such as `exhaustive`, `baseline:fsdp`, or `user`.
        space: The space the solver searched, in words.
        seed: Of randomised solvers; None for deterministic ones.
    """

    waferloom_version: str
    solver: str
    space: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A complete plan of a training run; self-contained, so it can be simulated anywhere.

    Attributes:
        format: Marks the file.
        version: Of the file format.
        kind: Of run.
        job: What is trained.
        system: On what.
        strategy: How the work is divided.
        stages: Layers of every pipeline rank.
        placement: Name of the placement.
        die_of_rank: Die of every rank; ranks count tp fastest, then cp, dp, pp.
        routing: Name of the routing policy.
        collectives: Algorithm per kind and axis, as in `all_reduce tp`.
        memory: Bytes per die of every pipeline rank.
        provenance: Where the plan comes from.
    """

    format: Literal["waferloom-plan"] = PLAN_FORMAT
    version: Literal[1] = PLAN_VERSION
    kind: Literal["training"] = "training"
    job: Training
    system: SystemSpec
    strategy: Strategy
    stages: tuple[Stage, ...]
    placement: str
    die_of_rank: tuple[int, ...]
    routing: str
    collectives: dict[str, str] = field(default_factory=dict[str, str])
    memory: tuple[MemoryBreakdown, ...] = ()
    provenance: Provenance

    @property
    def scenario(self) -> Scenario:
        """Job and system."""
        return Scenario(job=self.job, system=self.system)

    def to_json(self) -> str:
        """Return text that reads and compares well; lists of numbers stay on one line."""
        text = json.dumps(_ADAPTER.dump_python(self, mode="json"), indent=2)
        return _NUMBER_LIST.sub(lambda match: re.sub(r"\s+", " ", match[0]), text) + "\n"

    def save(self, path: Path) -> None:
        """Write the plan to `path`."""
        path.write_text(self.to_json(), encoding="utf-8")


_ADAPTER: Final = TypeAdapter(Plan)
_NUMBER_LIST: Final = re.compile(r"\[\s*-?[\d.][^\[\]{}\"]*\]")


def plan_from_json(text: str, *, origin: str = "plan") -> Plan:
    """Read a plan.

    Raises:
        PlanError: Not a plan of a version this package reads, or parts that contradict each other.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"{origin} is not JSON: {error.msg} at line {error.lineno}; expected a saved plan"
        raise PlanError(msg) from None
    table = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    if table.get("format") != PLAN_FORMAT:
        msg = f'{origin} is not a waferloom plan: expected "format": "{PLAN_FORMAT}"'
        raise PlanError(msg)
    if table.get("version") != PLAN_VERSION:
        msg = f"{origin} has plan version {table.get('version')}; this package reads {PLAN_VERSION}"
        raise PlanError(msg)
    try:
        plan = _ADAPTER.validate_python(table)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        msg = "\n".join([f"{origin} is not a valid plan:", *faults])
        raise PlanError(msg) from None
    unknown = sorted(_unknown_keys(table, _ADAPTER.dump_python(plan, mode="json")))
    if unknown:
        msg = f"{origin} has keys that no plan has: {', '.join(unknown)}"
        raise PlanError(msg)
    _check(plan, origin)
    return plan


def _unknown_keys(found: object, known: object, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of `found` that did not make it into the record."""
    if isinstance(found, dict) and isinstance(known, dict):
        table = cast("dict[str, object]", known)
        for key, value in cast("dict[str, object]", found).items():
            name = f"{prefix}{key}"
            if key in table:
                yield from _unknown_keys(value, table[key], f"{name}.")
            else:
                yield name
    elif isinstance(found, list) and isinstance(known, list):
        pairs = zip(cast("list[object]", found), cast("list[object]", known), strict=False)
        for index, (value, kept) in enumerate(pairs):
            yield from _unknown_keys(value, kept, f"{prefix}{index}.")


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        PlanError: The file does not exist or is not a plan.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"no plan at {path}; `waferloom plan MODEL --out DIR` writes DIR/plan.json"
        raise PlanError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}"
        raise PlanError(msg) from None
    return plan_from_json(text, origin=str(path))


def _check(plan: Plan, origin: str) -> None:
    num_ranks = plan.strategy.degrees.num_ranks
    if len(plan.die_of_rank) != num_ranks:
        msg = f"{origin}: {num_ranks} ranks need as many dies, found {len(plan.die_of_rank)}"
        raise PlanError(msg)
    if len(set(plan.die_of_rank)) != num_ranks:
        msg = f"{origin}: die_of_rank puts two ranks on one die"
        raise PlanError(msg)
    cols = plan.system.grid_shape[1]
    dead = {row * cols + col for row, col in plan.system.defects.dead_dies}
    bad = [d for d in plan.die_of_rank if not 0 <= d < plan.system.num_dies or d in dead]
    if bad:
        msg = f"{origin}: die_of_rank names dies that are dead or do not exist: {bad}"
        raise PlanError(msg)
    held = [chunk for stage in plan.stages for chunk in stage.chunks]
    layers = sorted(first + i for first, size in held for i in range(size))
    if layers != list(range(plan.job.model.num_layers)):
        msg = f"{origin}: stages must hold each of the {plan.job.model.num_layers} layers once"
        raise PlanError(msg)
    try:
        divided = stages_of(plan.job.model, plan.strategy)
    except ValueError as error:
        msg = f"{origin}: {error}"
        raise PlanError(msg) from None
    # what is simulated follows from the strategy; a file that says otherwise would not be heeded
    if plan.stages != divided:
        sizes = [[size for _, size in stage.chunks] for stage in divided]
        msg = f"{origin}: stages must be as the strategy divides the layers, {sizes} from the first"
        raise PlanError(msg)
    if plan.routing != ROUTING:
        msg = f"{origin}: routing must be {ROUTING!r}, found {plan.routing!r}"
        raise PlanError(msg)
