"""Measured training throughput, as typed rows read from the data directory.

One row is one published run: a model, its layout, and the time of a step. A row whose layout is not
printed, or that trains what the simulator has no model of, comes with the reason instead. What a
source leaves open (micro-batch, virtual stages, recomputation) stays None.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from waferloom.errors import SpecError
from waferloom.parallel.strategy import ParallelDegrees
from waferloom.workload.flops import FLOPS_DEFINITIONS
from waferloom.workload.library import model
from waferloom.workload.model import LayerGroup, LayerKind, ModelConfig
from waferloom.workload.operators import Recompute

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """One published training run.

    Attributes:
        id: Unique over all tables.
        table: File it comes from.
        stack: Key of `stacks.STACKS`: the software that ran it.
        device: Preset of the devices, without a size.
        num_devices: Devices of the run.
        model: What was trained.
        dtype: Format of the matrix products.
        global_batch_size: Sequences of a step.
        seq_len: Tokens of a sequence.
        degrees: Parallel degrees.
        num_model_chunks: Virtual stages per pipeline rank; None if not printed.
        micro_batch_size: Sequences; None if not printed.
        recompute: None if not printed.
        sequence_parallel: Whether norms divide their tokens.
        zero: ZeRO stage.
        step_s: Measured, or derived from the printed throughput.
        source: As the table has it.
    """

    id: str = ""
    table: str = ""
    stack: str
    device: str
    num_devices: int
    model: ModelConfig
    dtype: str
    global_batch_size: int
    seq_len: int
    degrees: ParallelDegrees
    num_model_chunks: int | None = 1
    micro_batch_size: int | None
    recompute: Recompute | None
    sequence_parallel: bool = False
    zero: int
    step_s: float
    source: str

    @property
    def system(self) -> str:
        """Name of the system with its size."""
        per_unit = DEVICES_PER_UNIT.get(self.device)
        if per_unit is None:
            return self.device
        return f"{self.device}:{-(-self.num_devices // per_unit)}"

    @property
    def is_dense(self) -> bool:
        """Whether the model has no experts."""
        return self.model.moe is None

    @property
    def family(self) -> str:
        """Device class, stack and number format: rows that one constant MFU could describe."""
        kind = "" if self.is_dense else " moe"
        device = self.device.partition(":")[0]
        return f"{device} {self.stack} {self.dtype}{kind}"

    @property
    def tokens_per_s_per_device(self) -> float:
        """Throughput as most tables print it."""
        return self.global_batch_size * self.seq_len / (self.step_s * self.num_devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableRow:
    """A published run that cannot be simulated, with the reason."""

    id: str
    table: str
    reason: str


DEVICES_PER_UNIT: Final[Mapping[str, int]] = {
    "dgx-a100": 8,
    "dgx-a100-40gb": 8,
    "dgx-h100": 8,
    "h100-hbm2e-500w": 8,
    "dgx-b200": 8,
    "gb200-nvl72": 72,
}
"""Devices that the size of a switched system counts as one: of a node, or of a rack."""

_TPU_SHAPES: Final[Mapping[tuple[str, int], str]] = {
    ("v5e", 256): "tpu-v5e:16x16",
    ("v5p", 64): "tpu-v5p:4x4x4",
    ("v5p", 128): "tpu-v5p:4x4x8",
    ("v5p", 256): "tpu-v5p:4x8x8",
    ("v5p", 512): "tpu-v5p:8x8x8",
    ("v5p", 1024): "tpu-v5p:8x8x16",
    ("v5p", 2048): "tpu-v5p:8x16x16",
    ("v4", 64): "tpu-v4:4x4x4",
}
"""The most cubic shape of each slice size; only v5e's is printed."""


class _NotUsableError(Exception):
    """Carries the reason why a row is left out."""


def read_training_rows(
    data_dir: Path,
) -> tuple[tuple[TrainingRow, ...], tuple[UnusableRow, ...]]:
    """Return the rows of every training table that can be simulated, and those that cannot.

    Raises:
        SpecError: A table is missing or not as expected.
    """
    rows: list[TrainingRow] = []
    unusable: list[UnusableRow] = []
    for name, read in READERS.items():
        for row in read_table(data_dir / name, read):
            if isinstance(row, TrainingRow):
                rows.append(row)
            else:
                unusable.append(row)
    return tuple(rows), tuple(unusable)


def read_table(
    path: Path, read: Callable[[Cells], TrainingRow]
) -> Iterator[TrainingRow | UnusableRow]:
    """Read one table, row by row.

    Raises:
        SpecError: The file is missing, or a cell is not what its column should hold.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; --data must name the directory of the tables"
        raise SpecError(msg) from None
    for number, cells in enumerate(csv.DictReader(lines), start=2):
        name = cells.get("id") or f"{path.stem}:{number}"
        try:
            row = read(cells)
        except (_NotUsableError, SpecError) as error:  # the latter: no preset of this model
            yield UnusableRow(id=name, table=path.name, reason=str(error))
        except (KeyError, ValueError) as error:
            msg = f"{path}, line {number}: {error}; expected the columns of the published table"
            raise SpecError(msg) from None
        else:
            yield replace(row, id=name, table=path.name)


def _literature(cells: Cells) -> TrainingRow:
    name = cells["id"]
    if name.startswith("deepseekv3"):
        msg = "no preset for H800, and DualPipe is no schedule of ours"
        raise _NotUsableError(msg)
    if name.startswith("megascale_t3") and not name.endswith("_1"):
        msg = "an ablation step between Megatron-LM and MegaScale, with its own operators"
        raise _NotUsableError(msg)
    if not all(cells[column] for column in ("tp", "pp", "dp", "gbs_seqs")):
        msg = "layout or batch is not printed"
        raise _NotUsableError(msg)
    degrees = ParallelDegrees(
        tp=int(cells["tp"]), pp=int(cells["pp"]), dp=int(cells["dp"]), cp=int(cells["cp"] or 1)
    )
    is_llama = "llama" in cells["model"].lower()
    stack = "llama3" if is_llama else "megatron-2023"
    if name.startswith("narayanan"):
        stack = "megatron-2021"
    elif name.startswith("korthikanti"):
        stack = "megatron-2022"
    elif name.startswith("megascale") and not name.endswith("_1"):
        is_baseline = "megatron" in name.lower()
        stack = "megatron-2023" if is_baseline else "megascale"
    seq_len, batch = int(cells["seq_len"]), int(cells["gbs_seqs"])
    shape = model(_llama_preset(cells["model"])) if is_llama else _gpt(cells, seq_len)
    # Llama 3 trained almost without recomputation, as its text says
    recompute = Recompute.NONE if is_llama else _recompute(cells["recompute"])
    num_devices = int(cells["n_devices"])
    return TrainingRow(
        stack=stack,
        device=_literature_device(cells["hardware"]),
        num_devices=num_devices,
        model=shape,
        dtype="bf16" if is_llama else "fp16",
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=degrees,
        num_model_chunks=1 if degrees.pp == 1 else int(cells["vpp"]) if cells["vpp"] else None,
        micro_batch_size=int(cells["mbs"]) if cells["mbs"] else None,
        recompute=recompute,
        sequence_parallel=cells["sequence_parallel"] == "yes" or "megascale" in name,
        # Megatron's distributed optimizer came after 2021; Llama 3 shards optimizer and gradients
        zero=2 if is_llama else 0 if stack in ("megatron-2021", "megatron-2022") else 1,
        step_s=_printed_step_s(cells, shape, batch * seq_len, num_devices),
        source=cells["source"],
    )


def _literature_device(hardware: str) -> str:
    for mark, device in (
        ("H100", "dgx-h100"),
        ("A100-40GB", "dgx-a100-40gb"),
        ("A100", "dgx-a100"),
    ):
        if mark in hardware:
            return device
    msg = f"no preset for {hardware}"
    raise _NotUsableError(msg)


def _llama_preset(name: str) -> str:
    """Return the preset of a Llama: `Llama-3.1-405B` is `llama3.1-405b`, 3.1 below 405B is 3."""
    joined = name.lower().replace("llama-", "llama").replace("llama ", "llama")
    return joined if "405b" in joined else joined.replace("llama3.1", "llama3")


def _printed_step_s(cells: Cells, shape: ModelConfig, tokens: int, num_devices: int) -> float:
    """Return the printed step time, or the one behind a printed MFU or FLOP rate."""
    if cells["iter_time_s"]:
        return float(cells["iter_time_s"])
    seq_len = int(cells["seq_len"])
    if cells["tokens_per_s_total"]:
        return tokens / float(cells["tokens_per_s_total"])
    if cells["tflops_per_device"]:
        # Llama 3 cites PaLM for its MFU: attention counts in full
        rate = 1e12 * float(cells["tflops_per_device"])
        definition = "palm"
    else:
        # with it, MegaScale's printed MFU and tokens/s agree to the digits printed
        is_h100 = "H100" in cells["hardware"]
        peak = H100_PEAK_FLOPS_PER_S if is_h100 else A100_PEAK_FLOPS_PER_S
        rate = 0.01 * float(cells["mfu_pct"]) * peak
        definition = "korthikanti2022_model"
    flops = FLOPS_DEFINITIONS[definition](shape, seq_len, Recompute.NONE)
    return flops * tokens / (rate * num_devices)


A100_PEAK_FLOPS_PER_S: Final = 312e12
"""What the A100 papers divide by."""
H100_PEAK_FLOPS_PER_S: Final = 989e12
"""What the H100 papers divide by."""


def _gpt(cells: Cells, seq_len: int) -> ModelConfig:
    """Return a GPT of Megatron-LM by its dimensions; 51200 rows where the vocabulary is missing."""
    hidden, heads = int(cells["hidden"]), int(cells["heads"])
    return replace(
        model("megatron-175b"),
        name=cells["model"],
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=hidden // heads,
        ffn_size=4 * hidden,
        vocab_size=int(cells["vocab"] or 51200),
        max_position_embeddings=seq_len,
        layer_groups=(LayerGroup(kind=LayerKind.DENSE, num_layers=int(cells["layers"])),),
    )


def _recompute(text: str) -> Recompute | None:
    if not text:
        return None
    return Recompute.SELECTIVE if text.startswith("selective") else Recompute(text)


_MPT_DEVICES: Final[Mapping[str, str]] = {
    "h100_80gb": "dgx-h100",
    "a100_80gb": "dgx-a100",
    "a100_40gb": "dgx-a100-40gb",
}
_FSDP_ZERO: Final[Mapping[str, int]] = {"FULL_SHARD": 3, "SHARD_GRAD_OP": 2}


def _llm_foundry(cells: Cells) -> TrainingRow:
    if cells["act_cpu_offload"] == "True":
        msg = "activations offloaded to the host"
        raise _NotUsableError(msg)
    device = _MPT_DEVICES.get(cells["gpu"])
    if device is None:
        msg = f"no preset for {cells['gpu']}"
        raise _NotUsableError(msg)
    num_devices, seq_len = int(cells["n_gpus"]), int(cells["seq_len"])
    batch = int(cells["gbs_seqs"])
    shape = replace(model(cells["model"].lower()), max_position_embeddings=seq_len)
    return TrainingRow(
        stack="llm-foundry" if cells["mp_mode"] == "DEFAULT" else "llm-foundry-pure",
        device=device,
        num_devices=num_devices,
        model=shape,
        dtype=cells["precision"].removeprefix("amp_"),
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=ParallelDegrees(dp=num_devices),
        micro_batch_size=int(cells["mbs"]),
        recompute=Recompute.FULL if cells["act_ckpt"] == "True" else Recompute.NONE,
        zero=_FSDP_ZERO[cells["sharding"]],
        step_s=batch * seq_len / float(cells["tokens_per_s"]),
        source=cells["source"],
    )


def _torchtitan(cells: Cells) -> TrainingRow:
    found = dict(re.findall(r"(FSDP|TP|PP|CP)(\d+)", cells["parallelism"]))
    technique = cells["technique"].lower()
    degrees = ParallelDegrees(
        dp=int(found.get("FSDP", 1)),
        tp=int(found.get("TP", 1)),
        pp=int(found.get("PP", 1)),
        cp=int(found.get("CP", 1)),
    )
    stack = "torchtitan" if "compile" in technique else "torchtitan-eager"
    if "async" in technique:
        stack = "torchtitan-async-tp"
    local, seq_len = int(cells["local_batch"]), int(cells["seq_len"])
    batch = local * degrees.dp
    num_devices = int(cells["n_gpus"])
    recompute = Recompute.FULL if cells["act_ckpt"] == "full" else Recompute.SELECTIVE
    return TrainingRow(
        stack=stack,
        device="h100-hbm2e-500w",
        num_devices=num_devices,
        model=model(_llama_preset(cells["model"])),
        dtype="fp8" if "float8" in technique else "bf16",
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=degrees,
        # a pipeline cuts the local batch into single sequences; otherwise it is one micro-batch
        micro_batch_size=1 if degrees.pp > 1 else local,
        recompute=recompute,
        sequence_parallel=degrees.tp > 1,
        zero=3,
        step_s=_throughput_step_s(cells, batch * seq_len, num_devices),
        source=cells["source"],
    )


def _throughput_step_s(cells: Cells, tokens: int, num_devices: int) -> float:
    return tokens / (float(cells["tokens_per_s_per_gpu"]) * num_devices)


_NVIDIA_MODELS: Final[Mapping[str, str]] = {
    "llama3_8b": "llama3-8b",
    "llama3_70b": "llama3-70b",
    "llama3.1_405b": "llama3.1-405b",
    "llama2-7b": "llama2-7b",
    "llama2-70b": "llama2-70b",
    "llama3-8b": "llama3-8b",
    "llama3-70b": "llama3-70b",
    "gpt3-175b": "gpt3-175b",
    "deepseekv3": "deepseek-v3",
    "deepseek v3 671b": "deepseek-v3",
    "kimi k2": "kimi-k2",
    "qwen3_30b_a3b": "qwen3-30b-a3b",
    "qwen3 moe 30b": "qwen3-30b-a3b",
    "gpt oss 120b": "gpt-oss-120b",
    "gpt-oss 20b": "gpt-oss-20b",
}
_NVIDIA_DEVICES: Final[Mapping[str, str]] = {
    "DGX-H100": "dgx-h100",
    "DGX-B200": "dgx-b200",
    "DGX-GB200": "gb200-nvl72",
}


def _nvidia(cells: Cells) -> TrainingRow:
    """Read a row of NVIDIA's performance summaries; they share most columns."""
    is_bridge = "release" in cells and "phase" in cells
    if is_bridge and cells["phase"] != "Pre-Training":
        msg = f"{cells['phase']}, not pre-training: only part of the model is trained or packed"
        raise _NotUsableError(msg)
    name = cells["model"].lower()
    if "tokendrop" in name:
        msg = "experts drop tokens, and how many is not printed"
        raise _NotUsableError(msg)
    shape_name = _NVIDIA_MODELS.get(re.sub(r" \(.*\)", "", name))
    if shape_name is None:
        msg = f"no preset for the model {cells['model']}"
        raise _NotUsableError(msg)
    device = _NVIDIA_DEVICES.get(cells["system"])
    if device is None:
        msg = f"no preset for {cells['system']}"
        raise _NotUsableError(msg)
    num_devices, seq_len = int(cells["n_gpus"]), int(cells["seq_len"])
    tp, pp, cp, ep = (int(cells[column] or 1) for column in ("tp", "pp", "cp", "ep"))
    if num_devices % (tp * pp * cp):
        msg = f"tp * pp * cp = {tp * pp * cp} does not divide the {num_devices} devices"
        raise _NotUsableError(msg)
    dp = num_devices // (tp * pp * cp)
    if (dp * cp * tp) % ep:
        msg = f"ep = {ep} does not divide the {dp * cp * tp} ranks of a stage"
        raise _NotUsableError(msg)
    shards = cells["fsdp_shards"] if is_bridge else cells["fsdp"]
    batch = int(cells["gbs" if is_bridge else "gbs_seqs"])
    is_automodel = not is_bridge and cells["framework"] != "NeMo"
    return TrainingRow(
        stack="automodel" if is_automodel else "megatron-bridge" if is_bridge else "nemo",
        device=device,
        num_devices=num_devices,
        model=model(shape_name),
        dtype=_nvidia_dtype(cells["precision"]),
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=ParallelDegrees(dp=dp, tp=tp, pp=pp, cp=cp, ep=ep),
        num_model_chunks=int(cells["vp"] or 1),
        micro_batch_size=int(cells["mbs"]),
        recompute=None,
        sequence_parallel=tp > 1,
        zero=3 if int(shards or 0) > 1 else 1,
        step_s=_throughput_step_s(cells, batch * seq_len, num_devices),
        source=cells["source"],
    )


def _nvidia_dtype(text: str) -> str:
    lower = text.lower()
    return "fp8" if "fp8" in lower else "fp4" if "fp4" in lower else lower


def _maxtext(cells: Cells) -> TrainingRow:
    if "per_device_batch" in cells and not cells["per_device_batch"]:
        msg = "layout and batch are not printed"
        raise _NotUsableError(msg)
    if int(cells["n_slices"]) > 1:
        msg = "sharded inside a slice and replicated across slices; hybrid sharding is not modelled"
        raise _NotUsableError(msg)
    generation = re.search(r"v\d\w?", cells["hardware"])
    num_devices = int(cells["n_chips"])
    device = _TPU_SHAPES.get((generation[0] if generation else "", num_devices))
    if device is None:
        msg = f"no preset for {num_devices} chips of {cells['hardware']}"
        raise _NotUsableError(msg)
    if "offload" in cells["remat"]:
        msg = f"remat policy {cells['remat']}"
        raise _NotUsableError(msg)
    tp = re.search(r"TP(\d+)", cells["parallelism"].replace("FSDP", ""))
    degrees = ParallelDegrees(tp=int(tp[1]) if tp else 1)
    degrees = replace(degrees, dp=num_devices // degrees.tp)
    seq_len = int(cells["seq_len"])
    batch = int(cells["per_device_batch"]) * num_devices
    heads = int(cells["heads"])
    shape = ModelConfig(
        name=cells["model"],
        architecture="maxtext",
        hidden_size=int(cells["emb_dim"]),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=int(cells["head_dim"]),
        ffn_size=int(cells["mlp_dim"]),
        is_gated=cells["mlp_matrices"] == "3",
        vocab_size=int(cells["vocab"]),
        layer_groups=(LayerGroup(kind=LayerKind.DENSE, num_layers=int(cells["layers"])),),
    )
    flops = FLOPS_DEFINITIONS["exact_full_attention"](shape, seq_len, Recompute.NONE)
    rate = 1e12 * float(cells["model_tflops_per_chip"]) * num_devices
    return TrainingRow(
        stack="maxtext",
        device=device,
        num_devices=num_devices,
        model=shape,
        dtype=cells["precision"],
        global_batch_size=batch,
        seq_len=seq_len,
        degrees=degrees,
        micro_batch_size=batch // degrees.dp,
        # `minimal` keeps the results of the matrix products
        recompute=Recompute.FULL if cells["remat"] == "full" else Recompute.NONE,
        zero=3,
        step_s=flops * batch * seq_len / rate,
        source=cells["source"],
    )


READERS: Final[Mapping[str, Callable[[Cells], TrainingRow]]] = {
    "train_literature.csv": _literature,
    "train_llm_foundry_mpt.csv": _llm_foundry,
    "train_torchtitan.csv": _torchtitan,
    "train_nvidia_megatron_bridge.csv": _nvidia,
    "train_nvidia_nemo_other.csv": _nvidia,
    "train_maxtext_tpu.csv": _maxtext,
}
"""The tables with throughput, and how each is read."""
