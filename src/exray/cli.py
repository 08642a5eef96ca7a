"""The ``exray`` command: mounts each component's commands, and words their errors.

An error is a line on stderr that begins with ``error:``, and an exit code:

====  ==============================================================
 0    done
 1    a lake, a disk, an input or a missing extra stood in the way
 2    an option, an argument or a file of the user's is wrong
130   interrupted
====  ==============================================================

A traceback is a bug of exray's own.
"""

import importlib
import os
import sys
from typing import Annotated, Any, Protocol, runtime_checkable

import typer

from exray.schema.errors import ExrayError, UsageError, error_lines

COMMAND_MODULES = (
    "exray.lake.commands",
    "exray.collector.ingest_commands",
    "exray.collector.commands",
    "exray.diagnosis.commands",
    "exray.exporters.commands",
    "exray.grafana.commands",
    "exray.diagnosis.check_commands",
    "exray.diagnosis.diagnose_commands",
    "exray.diagnosis.repair.commands",
    "exray.playback.commands",
    "exray.queries.commands",
)
"""Where the commands stand; each imports fast, and what is heavy only when it runs."""

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
USAGE_CODES = {"exray check": 64, "exray fix": 64}
"""Commands whose exit codes are told apart by scripts: sysexits' EX_USAGE for a wrong option."""


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
    app.callback()(_options)
    for module in COMMAND_MODULES:
        app.add_typer(importlib.import_module(module).app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"exray {version('exray')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Take what stands before a command; `_print_version` has done it."""


@runtime_checkable
class _CommandLineError(Protocol):
    """An error of typer's own: of click's class, or of typer's copy of it, by its version."""

    exit_code: int

    def format_message(self) -> str:
        """Return what is wrong."""
        ...


def main() -> None:
    """Run the command line; errors that exray knows are a line on stderr, not a traceback."""
    # TensorFlow greets its users with a dozen lines about CUDA and oneDNN.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe (head, less) has had enough. Python would complain again
        # when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_ERROR
    sys.exit(code)


def _run() -> int:
    try:
        # Not standalone: typer would word errors itself, as a box of several lines.
        code: object = typer.main.get_command(make_app()).main(
            prog_name="exray", standalone_mode=False
        )
    except ExrayError as error:
        _print_error(error)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        if not isinstance(error, _CommandLineError):
            raise
        return _show_usage_error(error)
    if code == EXIT_INTERRUPTED:
        print("interrupted: what was committed before is kept", file=sys.stderr)
    return code if isinstance(code, int) else EXIT_OK


def _show_usage_error(error: "_CommandLineError") -> int:
    """Say what is wrong with an option or argument."""
    message = _usage_message(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return error.exit_code
    command: str = getattr(getattr(error, "ctx", None), "command_path", "exray")
    end = " " if message.endswith("?") else ". "
    _print_error(f"{message}{end}Try: {command} --help")
    return USAGE_CODES.get(command, error.exit_code)


def _print_error(error: object) -> None:
    print(*error_lines(error), sep="\n", file=sys.stderr)


def _usage_message(error: "_CommandLineError") -> str:
    """Return what is wrong, with all that is missing: typer stops at the first."""
    message = error.format_message().rstrip(".")
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ != "MissingParameter" or context is None:
        return message
    others = [
        f"'{option.opts[0]}'"
        for option in context.command.params
        if option.required
        and option.param_type_name == "option"
        and option is not getattr(error, "param", None)
        and option.name not in context.params  # what was given has been read before
        and option.resolve_envvar_value(context) is None
    ]
    return ", ".join([message, *others])
