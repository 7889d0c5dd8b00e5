"""Measured collectives on GPUs, as typed rows read from the data directory."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError

FP8_BYTES: Final = 1 + 4 / 128
"""Per element as DeepEP sends it: one byte, and a 32-bit scale per 128 elements."""
_KINDS: Final[Mapping[str, CollectiveKind]] = {
    "all_reduce": CollectiveKind.ALL_REDUCE,
    "all_gather": CollectiveKind.ALL_GATHER,
    "reduce_scatter": CollectiveKind.REDUCE_SCATTER,
    "alltoall": CollectiveKind.ALL_TO_ALL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveRow:
    """One measured collective.

    Attributes:
        table: File it is from.
        family: Rows that share a system and a library.
        group: Part of the family that a fit can leave out.
        preset: System, sized.
        library: Key of `collective_library.LIBRARIES`.
        kind: What was done.
        num_devices: Devices that took part, counted from the first.
        devices_per_node: Of them in one NVLink domain.
        size_bytes: As `CollectiveKind` defines it.
        num_tokens: Tokens per device, where single tokens were sent.
        num_multiprocessors: What the kernel was given, where it was limited.
        rotates: Whether one ring over all devices was forced.
        duration_s: Measured.
        source: Where the table has it from.
    """

    table: str
    family: str
    group: str
    preset: str
    library: str
    kind: CollectiveKind
    num_devices: int
    devices_per_node: int
    size_bytes: float
    num_tokens: float = 0.0
    num_multiprocessors: int | None = None
    rotates: bool = False
    duration_s: float
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableRows:
    """Rows that cannot be compared.

    Attributes:
        table: File they are from.
        what: Which.
        num_rows: How many.
        reason: Why.
    """

    table: str
    what: str
    num_rows: int
    reason: str


def read_collectives(data: Path) -> tuple[tuple[CollectiveRow, ...], tuple[UnusableRows, ...]]:
    """Return every row of the communication tables, and which cannot be used.

    Raises:
        SpecError: A table is missing.
    """
    rows: list[CollectiveRow] = []
    unusable: dict[tuple[str, str, str], int] = {}
    for reader in (_nccl_inside, _nccl_across, _vidur, _deepep, _trtllm):
        for found in reader(data):
            if isinstance(found, CollectiveRow):
                rows.append(found)
            else:
                unusable[found] = unusable.get(found, 0) + 1
    left_out = tuple(
        UnusableRows(table=table, what=what, num_rows=count, reason=reason)
        for (table, what, reason), count in unusable.items()
    )
    return tuple(rows), left_out


_Found = Iterator["CollectiveRow | tuple[str, str, str]"]
_INSIDE: Final[Mapping[str, tuple[str, str]]] = {
    "DGX-class A100-SXM4-80GB": ("dgx-a100:1", "nccl-a100"),
    "H100-SXM": ("dgx-h100:1", "nccl-h100"),
    "H200-SXM": ("dgx-h100:1", "nccl-h200"),
    "B200-SXM": ("dgx-b200:1", "nccl-b200"),
    "GB200 (4 GPU tray, NVLink5)": ("gb200-nvl72", "nccl-gb200"),
}
"""Preset and library; an H200 has the links of an H100."""


def _nccl_inside(data: Path) -> _Found:
    table = "comm_nccl_intranode.csv"
    for row in _rows(data, table):
        if row["system"] not in _INSIDE:
            yield table, row["system"], "no preset describes it"
            continue
        preset, library = _INSIDE[row["system"]]
        n = int(row["n_gpus"])
        yield CollectiveRow(
            table=table,
            family=f"NCCL inside {row['system'].split(' (')[0]}",
            group=f"{row['op']} {n}",
            preset=preset,
            library=library,
            kind=_KINDS[row["op"]],
            num_devices=n,
            devices_per_node=n,
            size_bytes=float(row["bytes_nccltests_size"]),
            duration_s=float(row["latency_us"]) * 1e-6,
            source=row["source"],
        )


# System -> family, preset without nodes, library, devices per NVLink domain.
_ACROSS: Final[Mapping[str, tuple[str, str, str, int]]] = {
    "H100-80GB HGX (Dell XE9680, bare metal)": ("H100, InfiniBand", "dgx-h100", "nccl-h100-ib", 8),
    "H100-80GB (second user of the thread)": ("H100, InfiniBand", "dgx-h100", "nccl-h100-ib", 8),
    "H100-80GB (GCP a3-megagpu-8g)": ("H100, TCPXO", "dgx-h100", "nccl-h100-tcpxo", 8),
    "H100-80GB (AWS p5.48xlarge)": ("H100, EFA", "dgx-h100", "nccl-h100-efa", 8),
    "A100-SXM4-80GB": ("A100, RoCE", "dgx-a100", "nccl-a100-roce", 8),
    "A100-SXM4-40GB (OCI BM.GPU4.8)": ("A100, RoCE", "dgx-a100", "nccl-a100-roce", 8),
    "A100-SXM4-40GB (OCI)": ("A100, RoCE", "dgx-a100", "nccl-a100-roce", 8),
    "GB300 NVL72 (4 GPU per host)": ("GB300", "gb200-nvl72", "nccl-gb200", 64),
}


def _nccl_across(data: Path) -> _Found:
    table = "comm_nccl_multinode.csv"
    for row in _rows(data, table):
        known = _ACROSS.get(row["system"])
        if known is None:
            what = f"{row['system']}, {row['fabric']}"
            yield table, what, "no preset has its links (H800 lacks half of the NVLink ports)"
            continue
        if not row["out_of_place_time_us"]:
            yield table, row["system"], "no time printed"
            continue
        fabric, preset, library, per_node = known
        n = int(row["n_gpus"])
        domains = -(-n // per_node)
        if domains > 1 and fabric == "GB300":
            yield table, "GB300, two racks", "800 Gb/s per device between racks: no preset has it"
            continue
        yield CollectiveRow(
            table=table,
            family=f"NCCL {'across' if domains > 1 else 'inside'} {fabric}",
            group=f"{row['op']} {n} {row['system']} {row['nccl_setting']}",
            preset=f"{preset}:{domains}",
            library=library,
            kind=_KINDS[row["op"]],
            num_devices=n,
            devices_per_node=min(n, per_node),
            size_bytes=float(row["bytes_nccltests_size"]),
            rotates="ALGO=Ring" in row["nccl_setting"],
            duration_s=float(row["out_of_place_time_us"]) * 1e-6,
            source=row["source"],
        )


def _vidur(data: Path) -> _Found:
    table = "comm_allreduce_vidur.csv"
    presets = {"a100_dgx": ("dgx-a100:1", "nccl-a100"), "h100_dgx": ("dgx-h100:1", "nccl-h100")}
    for row in _rows(data, table):
        if row["system"] not in presets:
            yield table, row["system"], "devices joined in pairs: no preset describes it"
            continue
        n = int(row["num_workers"])
        if int(row["devices_per_node"]) != n:
            yield table, f"{row['system']} across nodes", "the network between nodes is not stated"
            continue
        preset, library = presets[row["system"]]
        yield CollectiveRow(
            table=table,
            family=f"Vidur {row['system']}",
            group=f"all_reduce {n}",
            preset=preset,
            library=library,
            kind=CollectiveKind.ALL_REDUCE,
            num_devices=n,
            devices_per_node=n,
            size_bytes=float(row["bytes"]),
            duration_s=float(row["median_ms"]) * 1e-3,
            source=row["source"],
        )


_DEEPEP: Final = {"h100_sxm": "dgx-h100:1", "h200_sxm": "dgx-h100:1", "b200_sxm": "dgx-b200:1"}
_NODE: Final = 8


def _deepep(data: Path) -> _Found:
    """Read dispatch (fp8) and combine (16 bits) of tokens among the devices of a node.

    The normal kernels send a token once to each device that has one of its experts, chosen at
    random; the low-latency kernels once to each expert.
    """
    for table, mode in (
        ("comm_deepep_normal_1node.csv", "normal"),
        ("comm_deepep_lowlatency_1node.csv", "low-latency"),
    ):
        for row in _rows(data, table):
            tokens, top_k = float(row["num_token"]), int(row["num_topk"])
            copies = float(top_k)
            if mode == "normal":
                copies = devices_reached(int(row["num_experts"]), _NODE, top_k)
            for phase, element_bytes in (("dispatch", FP8_BYTES), ("combine", 2.0)):
                sms = row.get(f"{phase}_sms")
                time = row["_".join((phase, "transmit_us" if sms else "avg_t_us"))]
                yield CollectiveRow(
                    table=table,
                    family=f"DeepEP {mode} {phase}, {row['system']}",
                    group=f"{sms} multiprocessors" if sms else f"top {top_k} of {_experts(row)}",
                    preset=_DEEPEP[row["system"]],
                    library=f"deepep-{mode}-{phase}-{row['system'].split('_')[0]}",
                    kind=CollectiveKind.ALL_TO_ALL,
                    num_devices=_NODE,
                    devices_per_node=_NODE,
                    size_bytes=tokens * copies * element_bytes * float(row["hidden_size"]),
                    num_multiprocessors=int(sms) if sms else None,
                    duration_s=float(time) * 1e-6,
                    source=row["source"],
                )
    for row in _rows(data, "comm_deepep_published.csv"):
        yield (
            "comm_deepep_published.csv",
            row["hardware"].split(" (")[0],
            "H800 and unnamed parts: no preset has their links",
        )


def _experts(row: Mapping[str, str]) -> str:
    return row["num_experts"]


def _trtllm(data: Path) -> _Found:
    """Read dispatch and combine in an NVL72 rack.

    Balanced routing hands the experts of a token out in turn, so that they lie on as many devices
    as there can be. `prepare` moves no tokens, and the low-precision combine is bound by casting.
    """
    table = "comm_moe_alltoall_gb200_nvl72.csv"
    bytes_of = {"bfloat16": 2.0, "fp8": 1.0, "nvfp4": 0.5}
    for row in _rows(data, table):
        phase = row["op_name"].removeprefix("alltoall_")
        if phase == "prepare":
            yield table, "alltoall_prepare", "exchanges counts, not tokens"
            continue
        if phase == "combine_low_precision":
            yield table, "alltoall_combine_low_precision", "bound by casting, not by links"
            continue
        n, tokens = int(row["moe_ep_size"]), float(row["num_tokens"])
        element_bytes = bytes_of[row["moe_dtype"]] if phase == "dispatch" else 2.0
        copies = min(int(row["topk"]), n)
        yield CollectiveRow(
            table=table,
            family=f"TensorRT-LLM {phase}, GB200 NVL72",
            group=f"{n} devices",
            preset="gb200-nvl72",
            library=f"trtllm-{phase}-gb200",
            kind=CollectiveKind.ALL_TO_ALL,
            num_devices=n,
            devices_per_node=n,
            size_bytes=tokens * copies * element_bytes * float(row["hidden_size"]),
            num_tokens=tokens,
            duration_s=float(row["latency_us"]) * 1e-6,
            source=row["source"],
        )


def devices_reached(num_experts: int, num_devices: int, top_k: int) -> float:
    """Return on how many devices the experts of a token lie on average, chosen at random.

    Example:
        >>> round(devices_reached(256, 8, 8), 2)
        5.29
    """
    elsewhere = num_experts - num_experts // num_devices
    missed = math.comb(elsewhere, top_k) / math.comb(num_experts, top_k)
    return num_devices * (1.0 - missed)


def _rows(data: Path, name: str) -> Iterator[dict[str, str]]:
    path = data / name
    if not path.is_file():
        msg = f"{data} has no {name}; name the directory that holds the measured tables"
        raise SpecError(msg)
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
