"""``kedro irp lineage``, ``diff``, ``restore`` and ``verify``."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from irp_kedro.commands.shared import common_options, explained, read_parameters
from irp_kedro.errors import LineageError
from irp_kedro.lineage.finding import Snapshot, find_by_model, find_cell, find_snapshot, find_snapshots
from irp_kedro.lineage.weights import weights_digest
from irp_kedro.naming import cell_name
from irp_kedro.parameters import Parameters

if TYPE_CHECKING:
    from irp_kedro.lineage.diffing import SnapshotDiff
    from irp_kedro.lineage.store import LineageStore


@click.command()
@click.argument("name", required=False, metavar="[CELL | SNAPSHOT]")
@click.option("--strategy", default="", help="Only the snapshots of this strategy.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Name the snapshot that a model file was trained on.",
)
@common_options
def lineage(
    name: str | None,
    strategy: str,
    model: Path | None,
    env: str | None,
    params: dict[str, Any],
    as_json: bool,
    traceback: bool,
) -> None:
    """List every snapshot: its images, what left, its parent, its digests; or one of them in full.

    A CELL may be given by its beginning or its last eight digits. A SNAPSHOT, [CELL/]STRATEGY/CYCLE such as
    iterative_refinement/last, is shown with all that is written down about it, its model included.
    """
    with explained(traceback=traceback):
        parameters = read_parameters(env, params)
        snapshots = find_snapshots(Path(parameters.lineage.root).expanduser())
        if name and "/" in name:
            found = find_snapshot(snapshots, name, default_cell=cell_name(parameters))
            _show_one(found, _model_file(found, parameters), as_json=as_json)
            return
        shown = _select(snapshots, name, strategy, model)
    if as_json:
        click.echo(json.dumps([_as_row(snapshot) for snapshot in shown], indent=2))
    else:
        _show_table(shown)


@click.command()
@click.argument("before")
@click.argument("after")
@common_options
def diff(
    before: str, after: str, env: str | None, params: dict[str, Any], as_json: bool, traceback: bool
) -> None:
    """Name the images removed and restored on the way from one snapshot to another.

    BEFORE and AFTER are [CELL/]STRATEGY/CYCLE, such as iterative_refinement/0 and iterative_refinement/last;
    without a cell, that of the parameters.
    """
    from irp_kedro.lineage.diffing import diff as compare

    with explained(traceback=traceback):
        parameters = read_parameters(env, params)
        root, cell = Path(parameters.lineage.root).expanduser(), cell_name(parameters)
        snapshots = find_snapshots(root)
        first = find_snapshot(snapshots, before, default_cell=cell)
        second = find_snapshot(snapshots, after, default_cell=cell)
        found = compare(first, second, snapshots, _Stores(root))
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show_diff(found)


@click.command()
@click.argument("cell")
@click.option("--strategy", default="iterative_refinement", show_default=True)
@click.option("--cycle", default="last", show_default=True, help="A number, or last.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--originals", is_flag=True, help="Name the files as their sources were, subfolders included.")
@click.option(
    "--hardlink",
    is_flag=True,
    help="Link to DVC's cache instead of copying: no space, but the files must never be edited in place.",
)
@common_options
def restore(
    cell: str,
    strategy: str,
    cycle: str,
    target: Path,
    originals: bool,
    hardlink: bool,
    env: str | None,
    params: dict[str, Any],
    as_json: bool,
    traceback: bool,
) -> None:
    """Put the exact images of a snapshot into a new folder.

    CELL may be given by its beginning or its last eight digits; "." is that of the parameters.
    """
    from irp_kedro.lineage.restoring import restore as put

    with explained(traceback=traceback):
        parameters = read_parameters(env, params)
        root = Path(parameters.lineage.root).expanduser()
        name = cell_name(parameters) if cell == "." else cell
        snapshot = find_snapshot(find_snapshots(root), f"{name}/{strategy}/{cycle}")
        store = _Stores(root)[snapshot.record.mode]
        images = put(snapshot, store, target.expanduser(), originals=originals, hardlink=hardlink)
    if as_json:
        click.echo(json.dumps({"snapshot": snapshot.name, "folder": str(target), "images": len(images)}))
    else:
        click.echo(f"{snapshot.name}: {len(images)} images, each with its MD5, in {target}")


@click.command()
@click.argument("cell", required=False)
@common_options
def verify(cell: str | None, env: str | None, params: dict[str, Any], as_json: bool, traceback: bool) -> None:
    """Check that every snapshot is whole: record, pointers, chain, and every image by its MD5.

    Ends with status 1 and one sentence a fault if anything is missing or damaged.
    """
    from irp_kedro.lineage.verifying import verify as check

    with explained(traceback=traceback):
        parameters = read_parameters(env, params)
        root = Path(parameters.lineage.root).expanduser()
        name = find_cell(find_snapshots(root), cell) if cell else ""
        result = check(root, _Stores(root), cell=name)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "snapshots": result.snapshots,
                    "images": result.images,
                    "faults": list(result.faults),
                    "unfinished": list(result.unfinished),
                },
                indent=2,
            )
        )
    else:
        for fault in result.faults:
            click.secho(fault, fg="red")
        for chain in result.unfinished:
            click.echo(f"{chain}: its run ended before the last cycle; the cycles that are there are whole")
        verdict = f"{len(result.faults)} faults" if result.faults else "all whole"
        click.echo(f"{result.snapshots} snapshots, {result.images} different images: {verdict}")
    if result.faults:
        sys.exit(1)


class _Stores(Mapping[str, "LineageStore"]):
    """Opens the store of a record's mode when it is first needed; listing needs none."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, mode: str) -> "LineageStore":
        from irp_kedro.lineage.store import StoreSettings, open_store

        return open_store(self._root.absolute(), StoreSettings(mode="dvc" if mode == "dvc" else "plain"))

    def __iter__(self) -> Iterator[str]:
        return iter(("dvc", "plain"))

    def __len__(self) -> int:
        return 2


def _select(
    snapshots: Sequence[Snapshot], cell: str | None, strategy: str, model: Path | None
) -> list[Snapshot]:
    chosen = list(snapshots)
    if cell:
        name = find_cell(snapshots, cell)
        chosen = [snapshot for snapshot in chosen if snapshot.cell == name]
    if strategy:
        chosen = [snapshot for snapshot in chosen if snapshot.strategy == strategy]
    if model:
        digest = weights_digest(model)
        chosen = find_by_model(chosen, digest)
        if not chosen:
            raise LineageError(f"No snapshot here had the model '{model}' (weights {digest}) trained on it.")
    return chosen


def _model_file(snapshot: Snapshot, parameters: Parameters) -> Path | None:
    """Return the model trained on a snapshot, where it lies below ``data_root``."""
    if not snapshot.record.model:
        return None
    models = Path(parameters.data_root).expanduser() / "06_models"
    for path in sorted(models.glob(f"*/{snapshot.strategy}/model.safetensors")):
        if weights_digest(path) == snapshot.record.model:
            return path
    return None


def _as_row(snapshot: Snapshot) -> dict[str, Any]:
    return {"snapshot": snapshot.name, **snapshot.record.as_dict()}


def _show_one(snapshot: Snapshot, model: Path | None, *, as_json: bool) -> None:
    if as_json:
        row = {**_as_row(snapshot), "model_file": model.as_posix() if model else None}
        click.echo(json.dumps(row, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    record = snapshot.record.as_dict()
    provenance = record.pop("provenance")
    versions = provenance.pop("versions")
    table = Table(title=snapshot.name, show_header=False, box=None)
    for key, value in {**record, **provenance, "model_file": model or ""}.items():
        table.add_row(key, str(value))
    table.add_row("versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    Console(markup=False).print(table)


def _show_table(snapshots: Sequence[Snapshot]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)  # file names may hold brackets
    if not snapshots:
        console.print("No snapshot. Make some: kedro run")
    for cell in sorted({snapshot.cell for snapshot in snapshots}):
        table = Table(title=cell, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for column in ("snapshot", "images", "removed", "restored", "set", "from", "model"):
            justify: Literal["left", "right"] = (
                "right" if column in {"images", "removed", "restored"} else "left"
            )
            table.add_column(column, justify=justify, no_wrap=True)
        for snapshot in snapshots:
            if snapshot.cell == cell:
                record = snapshot.record
                table.add_row(
                    f"{snapshot.strategy}/{record.cycle}",
                    str(record.images),
                    str(record.removed),
                    str(record.restored),
                    record.tree[:8],
                    record.parent_tree[:8],
                    record.model[:8],
                )
        console.print(table)
        console.print()


def _show_diff(found: "SnapshotDiff") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)  # file names may hold brackets
    console.print(
        f"{found.before} -> {found.after}: {len(found.removed)} removed, {len(found.restored)} restored, "
        f"{found.common} in both",
        soft_wrap=True,
        highlight=False,
    )
    if not (found.removed or found.restored):
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "image", "cycle", "score", "threshold"):
        table.add_column(column, justify="right" if column in {"cycle", "score", "threshold"} else "left")
    for image in found.removed:
        decision = found.decisions.get(image.image_id)
        values = (
            [f"{decision['cycle']}", *(_shown(decision[key]) for key in ("score", "threshold"))]
            if decision
            else []
        )
        table.add_row("-", image.original, *values)
    for image in found.restored:
        table.add_row("+", image.original)
    console.print(table)


def _shown(value: float | None) -> str:
    return "review" if value is None else f"{value:.3f}"
