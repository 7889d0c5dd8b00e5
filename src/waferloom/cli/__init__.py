"""The command line: one file per subcommand; `app` lists them."""

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the `waferloom` script."""
    from waferloom.cli.app import run  # keeps `import waferloom.cli` free of the parser

    run()
