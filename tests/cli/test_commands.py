"""The commands as a newcomer meets them: what they print, write and return, mistakes included."""

import json
from pathlib import Path

import pytest

from waferloom.cli.app import run


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; return exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as stop:
        run(list(arguments))
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ("--global-batch-size", "16", "--seq-len", "1024")


def test_plan_prints_and_saves_a_plan_that_simulate_reads(capsys, here: Path) -> None:
    code, out, _ = call(capsys, "plan", "llama2-7b", *SMALL, "--out", "results")
    assert code == 0
    folder = here / "results" / "llama2-7b--temp-6x8"
    assert {path.name for path in folder.iterdir()} == {"plan.json", "report.json", "report.html"}
    assert "fits" in out
    report = json.loads((folder / "report.json").read_text())
    code, out, _ = call(capsys, "simulate", str(folder / "plan.json"), "--json")
    assert code == 0
    assert json.loads(out)["report"]["step_s"] == report["report"]["step_s"]


def test_a_plan_is_the_same_every_time(capsys, here: Path) -> None:
    for out in ("a", "b"):
        call(capsys, "plan", "llama2-7b", *SMALL, "--out", out)
    first, second = (here / out / "llama2-7b--temp-6x8" / "plan.json" for out in ("a", "b"))
    assert first.read_text() == second.read_text()


def test_json_is_all_that_goes_to_standard_output(capsys, here: Path) -> None:
    code, out, err = call(capsys, "plan", "llama2-7b", *SMALL, "--json")
    assert code == 0
    assert json.loads(out)["report"]["is_feasible"] is True
    assert err == ""


def test_what_does_not_fit_says_so_and_exits_with_1(capsys, here: Path) -> None:
    code, out, _ = call(
        capsys, "plan", "gpt3-175b", "--system", "temp-4x8", "--global-batch-size", "32"
    )
    assert code == 1
    assert "does not fit" in out
    assert "pipeline rank" in out


def test_ones_own_layout_is_scored(capsys, here: Path) -> None:
    code, out, _ = call(
        capsys,
        *("simulate", "llama3-8b", *SMALL, "--tensor-parallel", "4", "--pipeline-parallel", "2"),
        *("--data-parallel", "2", "--zero", "1", "--sequence-parallel", "--json"),
    )
    assert code == 0
    strategy = json.loads(out)["plan"]["strategy"]
    assert strategy["degrees"]["tp"] == 4
    assert strategy["zero"] == 1
    assert strategy["sequence_parallel"] is True


def test_compare_puts_systems_and_strategies_side_by_side(capsys, here: Path) -> None:
    code, out, _ = call(
        capsys,
        *("compare", "llama2-7b", *SMALL, "--system", "temp-6x8", "--system", "dgx-a100:6"),
        *("--strategies", "exhaustive", "--strategies", "baseline:fsdp"),
    )
    assert code == 0
    for name in ("temp-6x8", "dgx-a100", "exhaustive", "baseline:fsdp"):
        assert name in out


def test_a_token_budget_gives_time_energy_and_money(capsys, here: Path) -> None:
    code, out, _ = call(
        capsys,
        *("plan", "llama2-7b", *SMALL, "--tokens", "2T"),
        *("--price-per-device-hour", "3", "--price-per-kwh", "0.1"),
    )
    assert code == 0
    assert "2 T" in out or "2T" in out


def test_presets_are_listed_and_shown(capsys, here: Path) -> None:
    code, out, _ = call(capsys, "presets", "list", "--json")
    assert code == 0
    names = json.loads(out)
    assert "temp-6x8" in names["systems"]
    assert "llama3-70b" in names["models"]
    code, out, _ = call(capsys, "presets", "show", "temp-6x8", "--toml")
    assert code == 0
    (here / "mine.toml").write_text(out)
    code, *_ = call(capsys, "plan", "llama2-7b", *SMALL, "--system", "mine.toml")
    assert code == 0


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def wafer_with(here: Path, old: str, new: str) -> str:
    from waferloom.hardware import preset_text

    text = preset_text("temp-6x8")
    assert old in text
    return write(here / "wafer.toml", text.replace(old, new, 1))


ALL_DEAD = "dead_dies = [" + ", ".join(f"[{r}, {c}]" for r in range(6) for c in range(8)) + "]"

MISTAKES = {
    "unknown model": (("plan", "lama3-70b"), 2, "did you mean llama3-70b"),
    "unknown system": (("plan", "llama3-70b", "--system", "temp-6x9"), 2, "did you mean temp-6x8"),
    "missing config": (("plan", "./no/config.json"), 2, "no file no/config.json"),
    "missing system": (("plan", "llama3-70b", "--system", "no.toml"), 2, "no.toml"),
    "missing plan": (("simulate", "no.json"), 2, "no plan at no.json"),
    "zero batch": (("plan", "llama3-70b", "--global-batch-size", "0"), 2, "at least 1, found 0"),
    "negative length": (("plan", "llama3-70b", "--seq-len", "-1"), 2, "at least 1, found -1"),
    "negative degree": (("plan", "llama3-70b", "--tensor-parallel", "-2"), 2, "tp = -2"),
    "too many ranks": (("plan", "llama3-70b", "--tensor-parallel", "64"), 1, "48 usable dies"),
    "own layout too large": (
        ("simulate", "llama3-70b", "--tensor-parallel", "8", "--data-parallel", "8"),
        1,
        "= 64 ranks, but temp-6x8 has 48 usable dies",
    ),
    "zero stage": (("plan", "llama3-70b", "--zero", "7"), 2, "zero = 7"),
    "unknown option": (("plan", "llama3-70b", "--nope"), 2, "Unknown option"),
    "no model": (("plan",), 2, "requires an argument"),
    "unknown preset": (("presets", "show", "temp6x8"), 2, "did you mean temp-6x8"),
    "unknown strategy": (("compare", "llama2-7b", "--strategies", "fsdp"), 2, "unknown solver"),
    "price without tokens": (("plan", "llama2-7b", "--price-per-kwh", "1"), 2, "--tokens"),
    "no data": (("validate", "operators", "--data", "/no/such/folder"), 2, "/no/such/folder"),
    "negative alternatives": (("plan", "llama2-7b", "--alternatives", "-1"), 2, "at least 0"),
    "unknown stack": (("plan", "llama2-7b", "--stack", "megascal"), 2, "did you mean megascale"),
    "no chunks": (
        ("simulate", "llama2-7b", "--schedule", "interleaved", "--model-chunks", "0"),
        2,
        "num_model_chunks must be at least 1, found 0",
    ),
    "format without peak": (("plan", "llama2-7b", "--precision", "tf32"), 2, "no matrix peak"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_an_exit_code(capsys, here: Path, mistake: str) -> None:
    arguments, expected, message = MISTAKES[mistake]
    code, out, err = call(capsys, *arguments)
    assert code == expected
    assert message in err
    assert "Traceback" not in err
    assert out == ""


def test_a_saved_plan_is_found_in_its_folder_and_takes_no_other_layout(capsys, here: Path) -> None:
    call(capsys, "simulate", "llama3-8b", *SMALL, "--zero", "3", "--out", "mine")
    code, out, _ = call(capsys, "simulate", "mine", "--json")
    assert json.loads(out)["plan"]["strategy"]["zero"] == 3
    for ignored in (("--tensor-parallel", "4"), ("--system", "dgx-h100"), ("--seq-len", "8192")):
        code, out, err = call(capsys, "simulate", "mine/plan.json", *ignored)
        assert code == 2
        assert f"{ignored[0]} would change nothing" in err
        assert out == ""


def test_mistakes_in_a_model_file_are_one_message(capsys, here: Path) -> None:
    unsupported = write(here / "a.json", '{"architectures": ["FooForCausalLM"]}')
    code, _, err = call(capsys, "plan", unsupported)
    assert code == 2
    assert "FooForCausalLM is not supported" in err
    assert "LlamaForCausalLM" in err
    incomplete = write(here / "b.json", '{"architectures": ["LlamaForCausalLM"], "hidden_size": 0}')
    code, _, err = call(capsys, "plan", incomplete)
    assert code == 2
    assert "hidden_size must be at least 1, found 0" in err
    assert "vocab_size is missing" in err
    code, _, err = call(capsys, "plan", write(here / "c.json", "not json"))
    assert code == 2


def test_mistakes_in_a_system_file_are_one_message(capsys, here: Path) -> None:
    misspelt = wafer_with(here, "capacity_bytes", "capcity_bytes")
    code, _, err = call(capsys, "plan", "llama2-7b", "--system", misspelt)
    assert code == 2
    assert "did you mean capacity_bytes" in err
    wrong_unit = wafer_with(here, '"4 TB/s"', '"4 TB"')
    code, _, err = call(capsys, "plan", "llama2-7b", "--system", wrong_unit)
    assert code == 2
    assert "'TB' is not a unit of bandwidth" in err
    assert "TB/s" in err


def test_a_dead_mesh_is_one_message(capsys, here: Path) -> None:
    defects = write(here / "defects.toml", ALL_DEAD)
    code, _, err = call(capsys, "plan", "llama2-7b", "--defects", defects)
    assert code == 2
    assert "all 48 dies are dead" in err


def test_a_batch_that_does_not_divide_is_planned(capsys, here: Path) -> None:
    code, out, _ = call(capsys, "plan", "llama2-7b", "--global-batch-size", "37", "--json")
    assert code == 0
    assert json.loads(out)["report"]["tokens_per_step"] == 37 * 4096


def test_output_that_cannot_be_written_is_one_message(capsys, here: Path) -> None:
    write(here / "taken", "")
    code, _, err = call(capsys, "plan", "llama2-7b", *SMALL, "--out", "taken")
    assert code == 2
    assert "cannot write to" in err


def test_a_training_stack_costs_time_and_is_kept_in_the_plan(capsys, here: Path) -> None:
    layout = ("simulate", "llama3-8b", *SMALL, "--system", "dgx-h100:1", "--data-parallel", "8")
    code, ideal, _ = call(capsys, *layout, "--zero", "3", "--json")
    assert code == 0
    code, real, _ = call(
        capsys, *layout, "--zero", "3", "--stack", "torchtitan", "--out", "real", "--json"
    )
    assert code == 0
    assert json.loads(real)["report"]["step_s"] > json.loads(ideal)["report"]["step_s"]
    code, again, _ = call(capsys, "simulate", "real/plan.json", "--json")
    assert json.loads(again)["report"]["step_s"] == json.loads(real)["report"]["step_s"]
