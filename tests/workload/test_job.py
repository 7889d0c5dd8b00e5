"""Jobs and operator records: sizes are checked, shares round up to whole units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.workload.job import Inference, Precision, Training
from waferloom.workload.library import model
from waferloom.workload.operators import FeatureBlock, shard_width, width


def test_mixed_precision_adam_takes_16_bytes_per_parameter():
    assert Precision().state_bytes == 16
    assert Precision(gradient_bytes=4).state_bytes == 18


def test_a_step_has_the_tokens_of_its_sequences():
    job = Training(model=model("gpt2"), global_batch_size=6, seq_len=128)
    assert job.tokens_per_step == 768


@pytest.mark.parametrize("name", ["global_batch_size", "seq_len"])
def test_training_sizes_are_positive(name: str):
    sizes = {"global_batch_size": 1, "seq_len": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found 0"):
        Training(model=model("gpt2"), **sizes)


@pytest.mark.parametrize("name", ["batch_size", "prompt_len", "output_len"])
def test_inference_sizes_are_positive(name: str):
    sizes = {"batch_size": 1, "prompt_len": 1, "output_len": 1, name: -2}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found -2"):
        Inference(model=model("gpt2"), **sizes)


@given(num_units=st.integers(1, 200), unit_width=st.integers(1, 200), degree=st.integers(1, 300))
def test_shards_hold_whole_units_and_together_all_of_them(
    num_units: int, unit_width: int, degree: int
):
    features = (FeatureBlock(num_units=num_units, unit_width=unit_width),)
    share = shard_width(features, degree)
    assert share % unit_width == 0
    assert width(features) <= share * degree < width(features) + degree * unit_width
