"""Models described by TOML: read as they stand, every fault in one message."""

from pathlib import Path

import pytest

from waferloom.errors import SpecError
from waferloom.workload.library import model

GOOD = """
hidden_size = 64
num_heads = 4
num_kv_heads = 2
head_dim = 16
ffn_size = 128
is_gated = true
vocab_size = 1000

[[layer_groups]]
kind = "dense"
num_layers = 2
"""


def read(text: str, folder: Path):
    file = folder / "my-model.toml"
    file.write_text(text)
    return model(file)


def test_a_table_becomes_a_model(tmp_path: Path):
    config = read(GOOD, tmp_path)
    assert (config.name, config.hidden_size, config.num_layers) == ("my-model", 64, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("hidden_size", "hiden_size"), ["did you mean hidden_size", "hidden_size: "]),
        (GOOD.replace("num_layers = 2", "num_layers = 0"), ["num_layers must be at least 1"]),
        (GOOD.replace('"dense"', '"sparse"'), ["layer_groups.0.kind", "'dense' or 'moe'"]),
        (GOOD.replace('"dense"', '"moe"'), ["a layer group is moe, but moe"]),
        (GOOD.replace("num_kv_heads = 2", "num_kv_heads = 3"), ["not a multiple of num_kv_heads"]),
        (GOOD + "experts = 3\n", ["layer_groups.experts is not a field"]),
        (GOOD.replace("= 64", '= "wide"').replace("= 128", "= true_"), ["not valid TOML"]),
        (GOOD.replace("= 64", '= "wide"').replace("= 16", "= -1.5"), ["hidden_size", "head_dim"]),
        (GOOD + "[moe]\nnum_experts = 2\ntop_k = 3\nexpert_ffn_size = 8\n", ["top_k 3"]),
    ],
)
def test_faults_are_named_together(text: str, said: list[str], tmp_path: Path):
    with pytest.raises(SpecError) as error:
        read(text, tmp_path)
    assert all(part in str(error.value) for part in said), str(error.value)
    assert "\n" not in str(error.value)
