"""`vaeval reference`: statistics of real images, brought from elsewhere or written for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rendering
from cli.options import Json, Weights
from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from scheduler.settings import Settings
    from scheduler.store.references import ImportedReferenceEntry, ReferenceRecord
    from vaeval_core.metrics.imported_reference import ImportedReference
    from vaeval_core.protocol import ExtractorSpec

DEFAULT_EXTRACTOR = "inception-v3-fid"
"""What published statistics are of, unless somebody says otherwise."""


def import_(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An .npz with mu and sigma, or m and s; perhaps mu_s and sigma_s for sFID."
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it: --reference NAME.")],
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            metavar="NAME",
            help="Feature network that it was computed with. Default: what the file says, else inception-v3-fid.",
        ),
    ] = None,
    extractor_resize: Annotated[
        str | None,
        typer.Option(
            "--extractor-resize",
            metavar="KIND",
            help="How images were resized for it, such as clean. Default: the network's own way.",
        ),
    ] = None,
    weights: Weights = None,
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", min=2, help="Images it was computed of. Default: what the file says."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep statistics that somebody else computed, to compare checkpoints against.

    Files of pytorch-fid, clean-fid, EDM and guided-diffusion can be taken as they are. Nothing in them says which network
    they were computed with: say it, if it was not inception-v3-fid. Evaluations with another one are refused.

    Metrics that look at single real images, such as KID and precision, have nothing to go by in a mean and a covariance,
    and say so. Importing the same file again changes nothing; a name never changes its meaning.

    \b
    Examples:
      vaeval reference import cifar10-train.npz --name cifar10-train --images 50000
      vaeval run runs/beta4 --data photos/ --reference cifar10-train
    """
    from scheduler.composition import open_application
    from scheduler.references import require_name, store_reference
    from scheduler.settings import Settings
    from vaeval_core.metrics.imported_reference import read_reference

    require_name(name)
    settings = Settings.from_environment()
    reference = read_reference(path.expanduser(), count=images)
    spec = _declared(reference, settings, extractor, extractor_resize, weights, path)
    with open_application(settings) as application:
        entry, is_new = store_reference(
            reference,
            name=name,
            extractor=spec,
            source=str(path.expanduser().absolute()),
            references=application.references,
            artifacts=application.artifacts,
        )
    if as_json:
        rendering.document("reference.import", {**_plain_imported(entry), "created": is_new})
        return
    _print_table([_imported_row(entry)])
    if not is_new:
        rendering.note(f"{name} was imported before, with the same numbers.")
    if entry.num_images is None:
        rendering.note(
            "How many images it was computed of is not known, so nothing warns of too few: --images N says it."
        )
    rendering.note(f"Next: vaeval run CHECKPOINT --data IMAGES --reference {name}")


def export(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="Name or number of one of `vaeval reference list`.")
    ],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, as .npz.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a reference for other programs.

    The file has mu and sigma, as pytorch-fid reads them, in float64; num_images; the extractor, which others ignore; and
    mu_s and sigma_s where spatial features were computed.

    \b
    Example:
      vaeval reference export 1 digits.npz
    """
    from scheduler.composition import open_application
    from scheduler.references import find_reference
    from scheduler.settings import Settings
    from vaeval_core.metrics.imported_reference import write_reference

    path = path.expanduser()
    if path.is_dir() or (path.exists() and not overwrite):
        raise InvalidInput(
            "The file is there already.",
            received=str(path),
            expected="the name of a new file",
            next_step="give another name" if path.is_dir() else "--overwrite to replace it",
        )
    with open_application(Settings.from_environment()) as application:
        found = find_reference(reference, references=application.references, artifacts=application.artifacts)
    write_reference(path, found)
    if as_json:
        rendering.document(
            "reference.export",
            {
                "file": path,
                "digest": found.digest,
                "num_images": found.count,
                "num_features": found.dimension,
                "has_spatial": found.spatial is not None,
                "extractor": None if found.extractor is None else found.extractor.model_dump(mode="json"),
            },
        )
    else:
        rendering.data(str(path))


def list_(as_json: Json = False) -> None:
    """Show imported references by name, and computed ones by number.

    \b
    Example:
      vaeval reference list --json
    """
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        imported = application.references.all_imported()
        computed = application.references.computed()
    if as_json:
        document = {
            "imported": [{**_plain_imported(record), "created_at": record.created_at} for record in imported],
            "computed": [_plain_computed(record) for record in computed],
        }
        rendering.document("reference.list", document)
    elif imported or computed:
        _print_table([*(_imported_row(record) for record in imported), *(_computed_row(record) for record in computed)])
        rendering.note("Next: vaeval run … --reference NAME, or vaeval reference export REFERENCE FILE")
    else:
        rendering.note(
            "There is no reference yet: the first evaluation computes one, vaeval reference import brings one."
        )


def _declared(
    reference: ImportedReference,
    settings: Settings,
    extractor: str | None,
    resize: str | None,
    weights: Path | None,
    path: Path,
) -> ExtractorSpec:
    """Which extractor it is: what the file says, or the options, and not both if they differ."""
    from cli.download_progress import download_display
    from vaeval_core.features.catalogue import resolve_extractor

    stated = reference.extractor
    if stated is not None and extractor in {None, stated.name} and resize in {None, stated.resize} and weights is None:
        return stated
    name = extractor or DEFAULT_EXTRACTOR
    with download_display(f"fetching the weights of {name}") as show:
        spec = resolve_extractor(
            name, weights=weights, weights_folder=settings.home / "weights", resize=resize, on_progress=show
        )
    if stated is not None and spec != stated:
        raise InvalidInput(
            "The file says that its statistics are of another extractor.",
            received=f"{_words(spec)}, and {_words(stated)} in {path}",
            expected="the extractor in the file",
            next_step="leave --extractor, --extractor-resize and --weights out",
        )
    return spec


def _words(spec: ExtractorSpec) -> str:
    return f"{spec.name} (weights {spec.weights_digest[:12]}, resize {spec.resize}, {spec.precision})"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    columns = [
        rendering.Column(title="REFERENCE"),
        rendering.Column(title="FROM", shrinkable=True, droppable=3),
        rendering.Column(title="EXTRACTOR"),
        rendering.Column(title="RESIZE", droppable=4),
        rendering.Column(title="FEATURES", align="right", droppable=2),
        rendering.Column(title="IMAGES", align="right"),
        rendering.Column(title="SPATIAL", droppable=5),
        rendering.Column(title="DIGEST", droppable=1),
    ]
    rendering.table(columns, rows)


def _imported_row(entry: ImportedReferenceEntry) -> tuple[str, ...]:
    return (
        entry.name,
        entry.source,
        entry.extractor.name,
        entry.extractor.resize,
        f"{entry.extractor.dimension:,}",
        "–" if entry.num_images is None else f"{entry.num_images:,}",
        "yes" if entry.has_spatial else "no",
        entry.digest[:12],
    )


def _computed_row(record: ReferenceRecord) -> tuple[str, ...]:
    extractor = record.protocol.extractor
    return (
        str(record.reference_id),
        record.dataset_name,
        extractor.name,
        extractor.resize,
        f"{extractor.dimension:,}",
        f"{record.protocol.num_reference:,}",
        "yes" if _has_spatial(record) else "no",
        record.protocol.reference_key[:12],
    )


def _has_spatial(record: ReferenceRecord) -> bool:
    return "spatial" in record.protocol.reference_statistics


def _plain_imported(entry: ImportedReferenceEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "digest": entry.digest,
        "extractor": entry.extractor.model_dump(mode="json"),
        "num_images": entry.num_images,
        "has_spatial": entry.has_spatial,
        "source": entry.source,
    }


def _plain_computed(record: ReferenceRecord) -> dict[str, Any]:
    return {
        "reference": record.reference_id,
        "key": record.protocol.reference_key,
        "dataset": record.dataset_name,
        "extractor": record.protocol.extractor.model_dump(mode="json"),
        "num_images": record.protocol.num_reference,
        "has_spatial": _has_spatial(record),
        "finished_at": record.finished_at,
    }
