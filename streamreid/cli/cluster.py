"""``streamreid cluster``: look at a cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.cluster.machines import Machine
from streamreid.cluster.ray_session import RaySession
from streamreid.config import ClusterConfig

__all__ = ["app"]

app = typer.Typer(help="Show the machines and workers of a cluster.", no_args_is_help=True)


@app.callback()
def _about() -> None:
    """Show the machines and workers of a cluster."""


@app.command()
def status(
    cluster: Annotated[
        str,
        typer.Option("--cluster", metavar="auto|ray://HEAD:10001", help="Which cluster; auto is this machine's."),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the machines, and who reads which camera or recording: frame rate, updates that wait, updates that were
    lost, seconds until the lease ends."""
    set_up_logging()
    with RaySession(ClusterConfig(address=cluster)) as session:
        machines, workers = session.machines(), session.workers()
    if as_json:
        listed = [
            {"name": m.name, "address": m.address, "cpus": m.cpus, "gpus": m.gpus, "labels": _own_labels(m)}
            for m in machines
        ]
        typer.echo(json.dumps({"machines": listed, "workers": workers}, indent=2))
        return
    _print_machines(machines)
    _print_workers(workers)


def _own_labels(machine: Machine) -> dict[str, str]:
    """Without those that Ray gives."""
    return {key: value for key, value in machine.labels.items() if not key.startswith("ray.io/")}


def _print_machines(machines: Sequence[Machine]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("machine", "address", "cores", "GPUs", "memory", "labels"):
        table.add_column(column, justify="right" if column in ("cores", "GPUs", "memory") else "left")
    for machine in machines:
        labels = " ".join(f"{key}={value}" for key, value in sorted(_own_labels(machine).items()))
        memory = f"{machine.memory / 2**30:.1f} GiB"
        table.add_row(machine.name, machine.address, f"{machine.cpus:g}", f"{machine.gpus:g}", memory, labels)
    print_table(output, table)


def _print_workers(workers: dict[str, dict[str, Any] | None]) -> None:
    if not workers:
        output.print("no worker of streamreid runs on this cluster")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("worker", "on", "reads", "state", "fps", "waiting", "lost", "lease s"):
        table.add_column(column, justify="right" if column in ("fps", "waiting", "lost", "lease s") else "left")
    for name, said in workers.items():
        if said is None:
            table.add_row(name, "", "", Text("does not answer", "red"), "", "", "", "")
            continue
        where = f"{said['host']}, process {said['pid']}"
        if said["kind"] == "site":
            keeps = f"results in {said['folder']}" + (f", {said['address']}" if said["address"] else "")
            table.add_row(name, where, keeps, f"{said['state']}, {said['frames']} frames", "", "", "", "")
            continue
        if said["kind"] == "batch":
            recording = said["recording"] or ""
            table.add_row(name, where, recording, f"{said['frames']} frames" if recording else "idle", "", "", "", "")
            continue
        for camera, values in said["cameras"].items() or [("", {"state": "idle"})]:
            keys = ("fps", "waiting", "lost", "lease_seconds")
            figures = ("" if values.get(key) is None else f"{values[key]:g}" for key in keys)
            table.add_row(name, where, camera, Text(str(values["state"])), *figures)
    print_table(output, table)
