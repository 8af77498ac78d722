"""The commands that look and train nothing that is kept: init, check, schema, data check, tricks, doctor."""
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError, ResourceError
from .options import Data, Device, Json, Set, Space, Trust

if TYPE_CHECKING:
    from ...probes.duration import Duration


def init(source: Annotated[str, typer.Argument(help="A data source, such as image_folder:photos.")],
         out: Annotated[Path | None, typer.Option(help="The file; NAME.yaml of the source without it.")] = None,
         set_: Set = None,
         force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
         as_json: Json = False, trust: Trust = False) -> None:
    """Look at data and write a space for them: what ships, with values that suit and the reason for each."""
    from ..views import proposal

    proposal.init(source, out, set_ or [], force, as_json, trust)


def check(space: Annotated[str, typer.Argument(help="A space file, or the name of one that ships.")],
          set_: Set = None, data: Data = "", as_json: Json = False, trust: Trust = False,
          probe: Annotated[bool, typer.Option("--probe", help="Train probes: how to use weights?")] = False) -> None:
    """Say what a space contains and what a search of it would cost; train nothing that is kept."""
    from ...data import foretold
    from ...probes.compatibility import require_suited
    from ...probes.duration import quick_duration
    from ...space import load_space
    from ...workflows.resources import check_resources
    from ..views import cards, space as outline

    given = set_ or []
    loaded = load_space(space, [*given, *([f"data.source={data}"] if data else [])], trust)
    if probe:
        cards.transfer(loaded, as_json, trust)
        return
    unchecked = require_suited(loaded, trust)
    refused = None
    duration: Duration | str = ""
    try:
        duration = quick_duration(loaded, check_resources(loaded), trust)
    except ResourceError as error:
        refused = error
    told = foretold(loaded.document.data.settings())
    found = outline.Found(unchecked, duration, refused.problems if refused else (), tuple(told))
    outline.show(loaded, as_json, found, outline.command(space, given, data, trust))
    if refused:     # as a search of it would be
        raise refused


def fetch(names: Annotated[list[str], typer.Argument(help="Models, such as timm:resnet50.a1_in1k, or space files.")],
          as_json: Json = False) -> None:
    """Fetch published weights into the cache, for machines or times without a network."""
    from ..views import weights

    weights.fetch(names, as_json)


def schema() -> None:
    """Print the JSON Schema of a space file, for editors and other programs."""
    from ...space.schema import schema as json_schema
    from ..views import search

    search.to_json(json_schema())


def data_check(source: Annotated[str, typer.Argument(help="A data source, such as image_folder:photos.")],
               set_: Set = None,
               draw: Annotated[Path | None, typer.Option(help="An image file to write: some images as the model sees "
                                                         "them, with boxes or labels.")] = None,
               as_json: Json = False, trust: Trust = False) -> None:
    """Say what a data source holds, what is wrong with it, and which space fits; train nothing."""
    from ...space.load import load_data_section
    from ..views import data as inspection

    overrides = set_ or []
    if not inspection.check(load_data_section(source, overrides).settings(), overrides, trust, as_json, draw):
        raise typer.Exit(1)


def tricks_list(as_json: Json = False, markdown: Annotated[bool, typer.Option(
        "--markdown", help="Print techniques against tricks, tests and papers.")] = False) -> None:
    """List every trick by its main slot and seat."""
    from ..views import cards, techniques

    typer.echo(techniques.markdown(), nl=False) if markdown else cards.tricks(as_json)


def tricks_show(name: str, as_json: Json = False) -> None:
    """Show a trick: what it does, its parameters, paper, cost and quarrels."""
    from ..views import cards

    cards.trick(name, as_json)


def doctor(bundle: Annotated[str, typer.Argument(help="With --profile: a bundle file, in place of a space.")] = "",
           profile: Annotated[bool, typer.Option("--profile", help="Time the parts of a step.")] = False,
           space: Space = "", data: Data = "", device: Device = "cpu", as_json: Json = False,
           trust: Trust = False) -> None:
    """Show versions, devices and memory, and what is missing; or whether data or compute is the bottleneck."""
    if bundle and space:
        raise InputError("doctor: give either a bundle file or --space FILE.")
    if not profile and (bundle or space or data or device != "cpu"):
        raise InputError("doctor: a bundle, --space, --data and --device go with --profile.")
    from ..views import cards

    if profile:
        from ...probes.bottleneck import examine

        cards.profiled(examine(bundle, space, data, device, trust), as_json)
    elif not cards.doctor(as_json):
        raise typer.Exit(1)
