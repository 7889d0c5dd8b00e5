"""The list of commands, and what happens to the mistakes they meet.

Commands are named by import path, so that `waferloom --help` loads none of them.
"""

import os
import sys
from typing import Final

from cyclopts import App, CycloptsError

from waferloom.errors import SolverError, WaferloomError

EXIT_INFEASIBLE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

app = App(
    name="waferloom",
    help="Plan, simulate and validate large language models on wafer-scale chips.\n\n"
    "Example: `waferloom plan llama3-70b --system temp-6x8`",
    version_flags=["--version"],
)
app.command(
    "waferloom.cli.plan:plan",
    name="plan",
    help="Find the best way to train a model on a system, with its distance to a lower bound.",
)
app.command(
    "waferloom.cli.simulate:simulate",
    name="simulate",
    help="Score a saved plan, or a layout of your own given by options.",
)
app.command(
    "waferloom.cli.compare:compare",
    name="compare",
    help="Put systems and strategies side by side.",
)
app.command(
    "waferloom.cli.collective:collective",
    name="collective",
    help="Time a collective on a mesh or a system, and show its hottest links.\n\n"
    "Example: `waferloom collective all_reduce --size 64MB --mesh 8x8 --link 100GB/s --latency "
    "500ns --network all`",
)
app.command(
    "waferloom.cli.traffic:traffic",
    name="traffic",
    help="Measure latency against load of synthetic traffic, packet by packet.\n\n"
    "Example: `waferloom traffic uniform --mesh 8x8 --rate 0.1 --rate 0.4 --plot load.svg`",
)
app.command(
    "waferloom.cli.validate:app",
    name="validate",
    help="Check the models against published measurements, with the errors printed.",
)
app.command(
    "waferloom.cli.presets:app",
    name="presets",
    help="List and show the known systems and models.",
)


def run(arguments: list[str] | None = None) -> None:
    """Parse and execute; exit with 0 (ok), 1 (infeasible or failed check) or 2 (wrong usage)."""
    try:
        code = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        sys.exit(EXIT_USAGE)
    except SolverError as error:
        _complain(error)
        sys.exit(EXIT_INFEASIBLE)
    except (WaferloomError, ValueError) as error:
        _complain(error)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        _complain("interrupted; files already written are complete")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output has gone; keep the interpreter from complaining about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: object) -> None:
    print(f"waferloom: {message}", file=sys.stderr)
