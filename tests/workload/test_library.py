"""Models are found by name or path, and every mistake is one message."""

import json
import tomllib
from pathlib import Path

import pytest

from waferloom.errors import SpecError
from waferloom.workload.library import model, model_names, model_source, model_text
from waferloom.workload.model import LayerKind

PRESETS = Path(__file__).parents[2] / "src/waferloom/workload/presets"

PAPER_MODELS = [
    "gpt3-6.7b",
    "llama2-7b",
    "llama3-70b",
    "gpt3-76b",
    "gpt3-175b",
    "opt-175b",
    "bloom-176b",
    "llama2-70b",
    "gpt3-504b",
    "llama2-30b",
    "gshard-137b",
    "deepseek-v3",
    "llama-65b",
    "deepseek-v2",
    "qwen3-235b-a22b",
    "dbrx",
    "mixtral-8x22b",
]


@pytest.mark.parametrize("name", model_names())
def test_every_preset_loads_and_says_where_it_comes_from(name: str):
    config, source = model(name), model_source(name)
    assert config.name == name
    assert config.num_layers == sum(group.num_layers for group in config.layer_groups)
    assert source["title"]
    assert str(source["url"]).startswith("https://")


def test_every_decoder_of_the_three_papers_is_there():
    assert set(PAPER_MODELS) <= set(model_names())


def test_a_preset_is_one_file():
    stems = [file.name.rpartition(".")[0] for file in PRESETS.iterdir() if file.suffix != ".py"]
    assert sorted(stem for stem in stems if stem) == list(model_names())


def test_a_config_is_read_from_its_file_and_from_its_directory(tmp_path: Path):
    folder = tmp_path / "my-llama"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text((PRESETS / "llama3-8b.json").read_text())
    by_file, by_folder, text = model(file), model(folder), model(str(folder))
    assert by_file == by_folder == text
    assert by_file.name == "my-llama"
    assert by_file.num_kv_heads == model("llama3-8b").num_kv_heads


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + (PRESETS / "gpt2.json").read_bytes())
    assert model(file).hidden_size == 768


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("lama3-70b", "did you mean llama3-70b"),
        ("completely different", "known: bloom-176b"),
        ("", "known: bloom-176b"),
        ("nowhere/config.json", "no file nowhere/config.json"),
        ("./nowhere", "no file nowhere"),
    ],
)
def test_an_unknown_name_is_one_message(asked: str, said: str, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as error:
        model(asked)
    if asked:
        assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"", "is empty"),
        ("config.json", b"  \n", "is empty"),
        ("config.json", b"{", "is not valid JSON"),
        ("config.json", b"[1, 2]", "holds a JSON list"),
        ("config.json", b"3", "holds a JSON int"),
        ("config.json", b"\xff\xfe\x00", "is not text in UTF-8"),
        ("config.json", b"[" * 100_000, "is not valid JSON"),
        ("model.toml", b"a = ", "is not valid TOML"),
    ],
)
def test_a_broken_file_is_one_message(name: str, content: bytes, said: str, tmp_path: Path):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SpecError) as error:
        model(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)


def test_a_directory_without_a_config_is_one_message(tmp_path: Path):
    with pytest.raises(SpecError, match=r"holds no config\.json"):
        model(tmp_path)


def test_the_sources_of_an_unknown_preset_are_refused():
    with pytest.raises(SpecError, match="did you mean dbrx"):
        model_source("dbrxx")


def test_assumptions_of_toml_presets_name_keys_they_have():
    for file in PRESETS.glob("*.toml"):
        table = tomllib.loads(file.read_text())
        for key in table["assumptions"]:
            value: object = table
            for part in key.split("."):
                value = value[part]  # type: ignore[index]
            assert value is not None


def test_json_presets_hold_no_field_that_no_reader_knows():
    readers = (PRESETS.parent / "huggingface.py").read_text()
    for file in PRESETS.glob("*.json"):
        keys = set(json.loads(file.read_text())) - {"_source", "architectures"}
        assert [key for key in sorted(keys) if f'"{key}"' not in readers] == [], file.name


def test_layers_of_mixed_models_are_in_order():
    groups = model("deepseek-v3").layer_groups
    assert [(group.kind, group.num_layers) for group in groups] == [
        (LayerKind.DENSE, 3),
        (LayerKind.MOE, 58),
    ]


@pytest.mark.parametrize("name", ["llama3-8b", "gshard-137b"])
def test_the_text_of_a_preset_is_a_model_file(name: str, tmp_path: Path):
    suffix = ".json" if model_text(name).startswith("{") else ".toml"
    file = tmp_path / f"{name}{suffix}"
    file.write_text(model_text(name))
    assert model(file) == model(name)
