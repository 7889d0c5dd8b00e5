"""`waferloom presets`: the systems and models known by name."""

from typing import Annotated

from cyclopts import App, Parameter

from waferloom.cli.options import AsJson

app = App(name="presets", help="List and show the known systems and models.")


@app.command(name="list")
def list_presets(*, as_json: AsJson = False) -> int:
    """List the known systems and models.

    Example: `waferloom presets list`

    Args:
        as_json: Print names as JSON.
    """
    from waferloom.cli.output import json_text, print_view
    from waferloom.hardware import preset_names, system
    from waferloom.report.terminal import presets_view
    from waferloom.workload.library import model, model_names

    if as_json:
        print(json_text({"systems": list(preset_names()), "models": list(model_names())}))
        return 0
    systems = [system(name) for name in preset_names()]
    models = [model(name) for name in model_names()]
    print_view(presets_view(systems, models))
    return 0


@app.command
def show(
    name: str,
    *,
    toml: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
) -> int:
    """Show one system or model: its numbers, sources and assumptions.

    Example: `waferloom presets show temp-6x8 --toml > mine.toml` is a start for a system of your
    own.

    Args:
        name: Of a system or a model.
        toml: Print the preset file itself (the model files are JSON or TOML).
        as_json: Print every value as JSON.
    """
    from waferloom.cli.output import json_text, print_view
    from waferloom.errors import SpecError, did_you_mean
    from waferloom.hardware import preset_names, preset_text, system
    from waferloom.report.json_report import model_json, system_json
    from waferloom.report.terminal import model_view, system_view
    from waferloom.workload.library import model, model_names, model_text

    is_system = name.partition(":")[0] in preset_names()
    if not is_system and name not in model_names():
        near = did_you_mean(name, [*preset_names(), *model_names()])
        msg = f"no system or model is called {name!r}: {near}"
        raise SpecError(msg)
    if toml:
        print(preset_text(name.partition(":")[0]) if is_system else model_text(name), end="")
    elif as_json:
        print(json_text(system_json(system(name)) if is_system else model_json(model(name))))
    else:
        print_view(system_view(system(name)) if is_system else model_view(model(name)))
    return 0
