"""The command line. Nothing heavy is imported before a command needs it, and nothing before signals are heard."""
from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING

from ..errors import AutotricksError, InputError, Interrupted, printable
from ..system.signals import CODE, interrupt

if TYPE_CHECKING:
    import typer


def _app() -> typer.Typer:
    """Return all commands."""
    import typer

    # whose annotations are no texts: typer would evaluate each of them again and again
    from .commands import cluster, inspect, options, results, search

    app = typer.Typer(name="autotricks", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                      pretty_exceptions_enable=False,
                      help="Find the bundle of training tricks that is best for your images, and train with it.",
                      epilog="Begin with: autotricks search --space long_tail.yaml")
    tricks = typer.Typer(no_args_is_help=True, help="The tricks that a space may list.")
    data = typer.Typer(no_args_is_help=True, help="The images to train on.")
    for command in (inspect.init, inspect.check, inspect.fetch, search.search, search.confirm, search.ablate,
                    results.report, results.train, results.predict, results.export, results.sync, results.promote,
                    results.ui, search.replicate, inspect.schema, inspect.doctor, cluster.submit, cluster.status,
                    cluster.logs, cluster.stop):
        app.command()(command)
    app.command("list")(cluster.list_)
    tricks.command("list")(inspect.tricks_list)
    tricks.command("show")(inspect.tricks_show)
    data.command("check")(inspect.data_check)
    app.callback()(options.everywhere)
    app.add_typer(tricks, name="tricks")
    app.add_typer(data, name="data")
    return app


def main() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad input, 130 interrupted."""
    debug = "--debug" in sys.argv
    _print_any_letter()
    try:
        with interrupt.heard():
            code = _run([word for word in sys.argv[1:] if word != "--debug"])
    except KeyboardInterrupt:
        code = _fail(Interrupted(interrupt.farewell()))
    except Exception as error:
        if debug and not hasattr(error, "show") and not interrupt.came:
            raise
        code = _explained(error)
    try:
        if sys.stdout:      # None where the caller closed it
            sys.stdout.flush()
    except OSError as error:
        code = code or _fail(_failed(error))
        sys.stdout = None     # or Python would flush it again
    if interrupt.came:
        interrupt.end()
    raise SystemExit(code or 0)


def _print_any_letter() -> None:
    """Have letters that the terminal's encoding lacks written as their numbers: a class may be called anything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):   # None where the caller closed it
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("autotricks: the folder in which it was started is gone. Change to another.") from None
    code = int(_app()(args=arguments, standalone_mode=False) or 0)
    if code == CODE:        # what the command line's library makes of it
        raise KeyboardInterrupt
    return code


def _explained(error: Exception) -> int:
    """Say in a line what went wrong and return the exit code."""
    if interrupt.came and not isinstance(error, AutotricksError):   # an import that it cut short fails in its own way
        return _fail(Interrupted(interrupt.farewell()))
    if isinstance(error, AutotricksError):
        return _fail(error)
    if hasattr(error, "exit_code"):     # of the command line's library: help, or a usage error
        if hasattr(error, "show"):
            error.show()
        return int(error.exit_code)
    return _fail(_failed(error))


def _failed(error: BaseException) -> AutotricksError:
    error = error if str(error) else error.__cause__ or error
    what = printable(f"{type(error).__name__}: {error}")
    return AutotricksError(f"autotricks failed: {what} (--debug shows where)")


def _fail(error: AutotricksError) -> int:
    with suppress(OSError):
        for line in getattr(error, "problems", None) or str(error).splitlines() if sys.stderr else ():
            print(printable(line), file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
