"""The commands that look and train nothing that is kept: check, schema, data check, tricks, doctor."""
from __future__ import annotations

from typing import Annotated

import typer

from ...errors import InputError
from .options import Data, Device, Json, Set, Space, Trust


def check(space: Annotated[str, typer.Argument(help="A space file, or the name of one that ships.")],
          set_: Set = None, as_json: Json = False, trust: Trust = False,
          probe: Annotated[bool, typer.Option("--probe", help="Train probes: how to use weights?")] = False) -> None:
    """Say what a space contains and what a search of it would cost; train nothing."""
    from ...probes.compatibility import require_suited
    from ...space import load_space
    from ..views import cards, space as outline

    loaded = load_space(space, set_ or [], trust)
    if probe:
        cards.transfer(loaded, as_json, trust)
    else:
        outline.show(loaded, as_json, require_suited(loaded, trust))


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
               set_: Set = None, as_json: Json = False, trust: Trust = False) -> None:
    """Say what a data source holds, what is wrong with it, and which space fits; train nothing."""
    from ...space.load import load_settings
    from ..views import data as inspection

    overrides = set_ or []
    if not inspection.check(load_settings(source, overrides), overrides, trust, as_json):
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
