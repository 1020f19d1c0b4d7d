"""`vaeval weights`: the files that feature networks need: which are here, where others come from, are they whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rendering
from cli.exit_codes import ExitCode
from cli.options import Json

if TYPE_CHECKING:
    from vaeval_core.features.weights_catalogue import WeightsEntry


def list_(as_json: Json = False) -> None:
    """Show which weights are here, and where the others are published.

    verified: the file it came from has the digest that its publisher gives.
    unverified: a file of your own, imported with --allow-unverified.
    Files are not read for this; `vaeval weights verify` does that.

    \b
    Example:
      vaeval weights list --json
    """
    from vaeval_core.features.weights_catalogue import list_weights

    folder = _folder()
    entries = list_weights(folder)
    if as_json:
        rendering.document("weights.list", {"folder": folder, "weights": [_plain(entry) for entry in entries]})
        return
    _print_table(entries)
    rendering.note(f"The folder is {folder}. Extractors that are not listed need no file.")
    for entry in entries:
        if entry.status in {"absent", "incomplete"}:
            rendering.note(_how_to_get(entry))


def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Extractor that they are for: inception-v3-fid or inception-v3-keras.")
    ],
    as_json: Json = False,
) -> None:
    """Bring published weights to this machine.

    What is on this machine already is not downloaded, and what arrives is used only
    if it has the digest that its publisher gives. A download that broke off goes on
    where it was. Any number of processes may do this at once.

    \b
    Example:
      vaeval weights fetch inception-v3-fid
    """
    from cli.download_progress import download_display
    from vaeval_core.features.weights_catalogue import fetch_weights

    with download_display(f"fetching {name}") as show:
        entry = fetch_weights(name, _folder(), show)
    _print_one("weights.fetch", entry, as_json=as_json)


def import_(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A published file under any name, or a converted one of another machine."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="What it is for: an extractor, or lpips. Default: told by its format, and never lpips.",
        ),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Take a file whose digest nobody publishes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring weights from a file: for machines without a network.

    inception-v3-fid reads classify_image_graph_def.pb, the .tgz around it, and, where
    PyTorch is installed, weights-inception-2015-12-05-6726825d.pth. All give the same
    weights, with the same digest. A file that nobody publishes is in use where
    --weights names it, and its own digest is in the fingerprint.

    \b
    Examples:
      vaeval weights import inception-2015-12-05.tgz
      vaeval weights import mine.h5 --as inception-v3-keras --allow-unverified
      vaeval weights import lpips-vgg.pth --as lpips
    """
    from vaeval_core.features.weights_catalogue import import_weights_file

    entry = import_weights_file(path, _folder(), name, allow_unverified=allow_unverified)
    _print_one("weights.import", entry, as_json=as_json)
    if entry.status == "unverified":
        use = f"--lpips-weights {path}" if entry.name == "lpips" else f"--extractor {entry.name} --weights {path}"
        rendering.note(f"Nobody vouches for these weights. Use them: `{use}`")


def verify(as_json: Json = False) -> None:
    """Compare all weights that are here with their digests.

    Exit code 4 if one is damaged: it counts as not there, and is replaced when it is
    fetched or imported again.

    \b
    Example:
      vaeval weights verify
    """
    from vaeval_core.features.weights_catalogue import verify_weights

    folder = _folder()
    entries = verify_weights(folder)
    damaged = [entry for entry in entries if entry.status == "damaged"]
    code = ExitCode.NOT_FOUND if damaged else ExitCode.OK
    if as_json:
        content = {"folder": folder, "weights": [_plain(entry) for entry in entries], "exit_code": int(code)}
        rendering.document("weights.verify", content)
    elif entries:
        _print_table(entries)
    else:
        rendering.note(f"There are no weights in {folder}.")
    for entry in damaged:
        rendering.note(f"{entry.path} is damaged. Next: `vaeval weights fetch {entry.name}`, or import the file again.")
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _how_to_get(entry: WeightsEntry) -> str:
    if entry.urls:
        return f"`vaeval weights fetch {entry.name}` brings it from {entry.urls[0]}"

    from vaeval_core.features.lpips_weights import HOW_TO_GET

    return f"{entry.name} is a metric of reconstructions. For its weights, {HOW_TO_GET}; then `--lpips-weights lpips-vgg.pth`"


def _folder() -> Path:
    from scheduler.settings import Settings

    return Settings.from_environment().home / "weights"


def _print_one(command: str, entry: WeightsEntry, *, as_json: bool) -> None:
    if as_json:
        rendering.document(command, _plain(entry))
    else:
        _print_table([entry])


def _print_table(entries: Sequence[WeightsEntry]) -> None:
    from cli.download_progress import megabytes

    columns = [
        rendering.Column(title="NAME"),
        rendering.Column(title="STATUS"),
        rendering.Column(title="SIZE", align="right", droppable=1),
        rendering.Column(title="DIGEST"),
        rendering.Column(title="FROM", droppable=2, shrinkable=True),
        rendering.Column(title="FILE", droppable=3, shrinkable=True),
    ]
    rows = [
        (
            entry.name,
            entry.status,
            "–" if entry.size is None else megabytes(entry.size),
            "–" if entry.digest is None else entry.digest[:12],
            entry.source or "–",
            "–" if entry.path is None else entry.path.name,
        )
        for entry in entries
    ]
    rendering.table(columns, rows)


def _plain(entry: WeightsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "status": entry.status,
        "file": entry.path,
        "size": entry.size,
        "digest": entry.digest,
        "source": entry.source,
        "urls": list(entry.urls),
    }
