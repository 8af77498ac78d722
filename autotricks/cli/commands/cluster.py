"""The commands that speak with a cluster: submit, status, logs, stop, list."""
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ...system.signals import interrupt
from .options import Data, Json, Set, Space, Storage, Tracking, Trust, time_of

if TYPE_CHECKING:
    from ...tuning.engines.ray_jobs import Job, Jobs

Address = Annotated[str, typer.Option("--address", envvar="RAY_API_SERVER_ADDRESS", metavar="http://HOST:8265",
                                      help="The cluster's dashboard.")]
Name = Annotated[str, typer.Argument(metavar="JOB", help="What submit printed; the newest without it.")]


def submit(space: Space = "", address: Address = "", set_: Set = None, data: Data = "",
           trials: Annotated[int | None, typer.Option(min=1, help="Number of trials.")] = None,
           duration: Annotated[str, typer.Option("--time", metavar="30m", help="Begin no trial after this time.")] = "",
           resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with a run of the cluster.")] = "",
           tracking: Tracking = "", storage: Storage = "",
           no_confirm: Annotated[bool, typer.Option("--no-confirm", help="Do not train the best again.")] = False,
           root: Annotated[str, typer.Option(help="Folder of all runs, as the cluster sees it.")] = "~/runs",
           as_json: Json = False, trust: Trust = False) -> None:
    """Let a cluster search by itself: the command returns, and the search outlives this machine."""
    if bool(space) == bool(resume):
        raise InputError("submit: give either --space FILE or --resume RUN.")
    time_of(duration)
    from ...workflows import submit as service

    overrides = [*(set_ or []), *([f"data.source={data}"] if data else []),
                 *([f"search.trials={trials}", "search.trainings=null"] if trials else [])]
    flags = [*(["--time", duration] if duration else []), *["--no-confirm"] * no_confirm,
             *(["--storage", storage] if storage else [])]
    name = service.submit(service.Submission(space, overrides, resume, root, flags, trust, tracking), address)
    if as_json:
        _print_json({"job": name})
    else:
        typer.echo(f"{name}\nFollow it: autotricks logs --follow {name} --address {address}")


def status(name: Name = "latest", address: Address = "", as_json: Json = False) -> None:
    """Say how a search on a cluster stands."""
    jobs = _jobs(address)
    job = jobs.find(name)
    last = [line for line in jobs.logs(job.name).splitlines() if line.strip()][-1:]
    if as_json:
        _print_json({**asdict(job), "last": last[0] if last else ""})
        return
    typer.echo(_row(job))
    for line in [*([job.message] if job.status == "FAILED" else []), *last]:
        typer.echo(f"  {line}")


def logs(name: Name = "latest", address: Address = "",
         follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False) -> None:
    """Print what a search on a cluster has printed."""
    jobs = _jobs(address)
    job = jobs.find(name)
    if not follow or job.over:
        typer.echo(jobs.logs(job.name), nl=False)
    else:
        interrupt.farewell = lambda: f"The search goes on. Stop it with: autotricks stop {job.name}"
        for text in jobs.follow(job.name):
            typer.echo(text, nl=False)
    if follow and jobs.find(job.name).status == "FAILED":
        raise typer.Exit(1)


def stop(name: Name, address: Address = "") -> None:
    """End a search on a cluster; finished trials are kept."""
    jobs = _jobs(address)
    job = jobs.find(name)
    if not job.over:
        job = jobs.stop(job.name)
        typer.echo("Finished trials are kept. Go on with: autotricks submit --resume latest, and the same --root.")
    typer.echo(_row(job))


def list_(address: Address = "", as_json: Json = False) -> None:
    """List the searches that a cluster knows, newest first."""
    jobs = _jobs(address).all()
    if as_json:
        _print_json([asdict(job) for job in jobs])
    for job in () if as_json else jobs:
        typer.echo(_row(job))
    if not jobs and not as_json:
        typer.echo("no search has been submitted to this cluster")


def _jobs(address: str) -> "Jobs":
    from ...tuning.engines.ray_jobs import Jobs

    return Jobs(address)


def _row(job: "Job") -> str:
    started_at = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.began)) if job.began else "-"
    return f"{job.name:<40}  {job.status:<9}  {started_at}  {int(job.seconds // 60)}:{int(job.seconds % 60):02d}"


def _print_json(content: object) -> None:
    from ..views import search

    search.to_json(content)
