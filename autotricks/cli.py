"""The command line. Nothing heavy is imported before a command needs it."""
from __future__ import annotations

import sys
from typing import Any

import typer

from .commands import looking, results, searching, service
from .errors import AutotricksError, Interrupted
from .interrupt import interrupt

app = typer.Typer(name="autotricks", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Find the bundle of training tricks that is best for your images, and train with it.",
                  epilog="Begin with: autotricks search --space long_tail.yaml")
tricks = typer.Typer(no_args_is_help=True, help="The tricks that a space may list.")
data = typer.Typer(no_args_is_help=True, help="The images to train on.")
for command in (searching.search, looking.check, searching.confirm, searching.ablate, results.report, results.train,
                results.export, results.sync, results.promote, results.ui, searching.replicate, looking.schema,
                looking.doctor, service.submit, service.status, service.logs, service.stop):
    app.command()(command)
app.command("list")(service.list_)
tricks.command("list")(looking.tricks_list)
tricks.command("show")(looking.tricks_show)
data.command("check")(looking.data_check)
app.add_typer(tricks, name="tricks")
app.add_typer(data, name="data")


def _fail(error: BaseException, code: int) -> int:
    lines: Any = getattr(error, "problems", None) or [str(error)]
    for line in lines:
        typer.echo(line, err=True)
    return code


def main() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad input, 130 interrupted."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        with interrupt.heard():
            code = app(args=arguments, standalone_mode=False)
    except AutotricksError as error:
        if debug:
            raise
        code = _fail(error, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(Interrupted("interrupted"), 130)
    except typer.Exit as stop:
        code = stop.exit_code
    except Exception as error:
        if interrupt.came:      # an import that it cut short fails in its own way
            code = _fail(Interrupted(interrupt.farewell()), 130)
        elif hasattr(error, "exit_code") and hasattr(error, "show"):  # a usage error of the command line's library
            error.show()
            code = int(error.exit_code)
        elif debug:
            raise
        else:
            kind = type(error).__name__
            code = _fail(AutotricksError(f"autotricks failed: {kind}: {error} (--debug shows where)"), 1)
    sys.stdout.flush()
    if interrupt.came:
        interrupt.end()
    raise SystemExit(code or 0)


if __name__ == "__main__":
    main()
