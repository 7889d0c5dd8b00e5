"""`waferloom validate`: models against published measurements."""

from pathlib import Path

from cyclopts import App

from waferloom.cli.options import AsJson

app = App(name="validate", help="Check the models against published measurements.")


@app.command
def training(*, data: Path | None = None, as_json: AsJson = False) -> int:
    """Simulate the printed layouts of measured training runs and print the errors.

    Example: `waferloom validate training --data ../shared/data`

    Args:
        data: Folder of measured tables; else WAFERLOOM_DATA, else ../shared/data.
        as_json: Print the errors as JSON.
    """
    from waferloom.cli.output import json_text, print_view
    from waferloom.report.json_report import validation_json
    from waferloom.report.terminal import training_validation_view
    from waferloom.studies.data_directory import find_data
    from waferloom.studies.validate_training import validate_training

    found = validate_training(find_data(data))
    if as_json:
        print(json_text(validation_json(found)))
    else:
        print_view(training_validation_view(found))
    return 0 if found.is_met else 1


@app.command
def operators(*, data: Path | None = None, as_json: AsJson = False) -> int:
    """Time measured matmuls, attention and layer operators and print the errors.

    Example: `waferloom validate operators --data ../shared/data`

    Args:
        data: Folder of measured tables; else WAFERLOOM_DATA, else ../shared/data.
        as_json: Print the errors as JSON.
    """
    from waferloom.cli.output import json_text, print_view
    from waferloom.report.json_report import validation_json
    from waferloom.report.terminal import operator_validation_view
    from waferloom.studies.data_directory import find_data
    from waferloom.studies.validate_operators import validate_operators

    found = validate_operators(find_data(data))
    if as_json:
        print(json_text(validation_json(found)))
    else:
        print_view(operator_validation_view(found))
    return 0 if found.is_met else 1
