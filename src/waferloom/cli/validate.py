"""`waferloom validate`: models against published measurements."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waferloom.cli.options import AsJson

app = App(name="validate", help="Check the models against published measurements.")
Page = Annotated[Path | None, Parameter(name=["--write"])]


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


@app.command
def network(*, data: Path | None = None, write: Page = None, as_json: AsJson = False) -> int:
    """Hold the network simulators to ASTRA-sim, to BookSim and to each other.

    Example: `waferloom validate network --write docs/validation/network.md`

    Args:
        data: Folder of reference tables; else WAFERLOOM_DATA, else ../shared/data.
        write: Write the page of this comparison here.
        as_json: Print every row as JSON.
    """
    from waferloom.cli.output import json_text, print_view, save_files
    from waferloom.report.network_view import network_validation_json, network_validation_view
    from waferloom.studies.data_directory import find_data
    from waferloom.studies.network_document import network_markdown
    from waferloom.studies.validate_network import validate_network

    found = validate_network(find_data(data))
    if write is not None:
        save_files(write.parent, {write.name: network_markdown(found)})
    if as_json:
        print(json_text(network_validation_json(found)))
    else:
        print_view(network_validation_view(found))
    return 0 if found.is_met else 1


@app.command
def collectives(*, data: Path | None = None, write: Page = None, as_json: AsJson = False) -> int:
    """Time measured collectives of GPUs and print the errors.

    Example: `waferloom validate collectives --data ../shared/data`

    Args:
        data: Folder of measured tables; else WAFERLOOM_DATA, else ../shared/data.
        write: Write the page of this comparison here.
        as_json: Print the errors as JSON.
    """
    from waferloom.cli.output import json_text, print_view, save_files
    from waferloom.report.network_view import (
        collectives_validation_json,
        collectives_validation_view,
    )
    from waferloom.studies.data_directory import find_data
    from waferloom.studies.network_document import collectives_markdown
    from waferloom.studies.validate_collectives import validate_collectives

    found = validate_collectives(find_data(data))
    if write is not None:
        save_files(write.parent, {write.name: collectives_markdown(found)})
    if as_json:
        print(json_text(collectives_validation_json(found)))
    else:
        print_view(collectives_validation_view(found))
    return 0 if found.is_met else 1
