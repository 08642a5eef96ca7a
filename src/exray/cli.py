"""The ``exray`` command: mounts each component's commands, and words their errors."""

import importlib
import os
import sys

import typer

from exray.schema.errors import ExrayError, UsageError

COMMAND_MODULES = (
    "exray.diagnosis.commands",
    "exray.playback.commands",
    "exray.queries.commands",
)
"""Where the commands stand; each imports fast, and what is heavy only when it runs."""

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def make_app() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="exray",
        help="See what a neural network really did on the device, layer by layer, and where it "
        "parts from its reference.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in COMMAND_MODULES:
        app.add_typer(importlib.import_module(module).app)
    return app


def main() -> None:
    """Run the command line; errors that exray knows are a line on stderr, not a traceback."""
    try:
        make_app()()
    except ExrayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR)
    except KeyboardInterrupt:
        print("interrupted: what was recorded before is kept", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has had enough. Python would complain again
        # when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
