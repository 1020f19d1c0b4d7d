"""From what was typed to what is submitted: find checkpoints, read the protocol, survey the images, fetch the weights.

Cheap mistakes are found before dear work: checkpoints and protocol come before the images, the images before a download.
All unusable checkpoints are told at once. Nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cli.boards import OWN_WEIGHTS
from cli.checkpoint_arguments import assumptions, at_most, described_checkpoints
from cli.download_progress import download_display
from cli.noise_floor import noise_floor
from cli.number_formats import count
from cli.reference_extractor import require_same_extractor, with_extractor_of
from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from scheduler.settings import Settings
    from scheduler.store.base import EvaluationRequest
    from scheduler.store.references import ImportedReferenceEntry
    from vaeval_core.images.base import ImageSet
    from vaeval_core.presets import ProtocolRequest


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The words of `vaeval run` and `vaeval submit`, before anything is looked up; None means: as the protocol says."""

    checkpoints: Sequence[str]
    data: str
    protocol: str
    samples: int | None = None
    reconstructions: int | None = None
    reference: int | str | None = None
    interpolations: int | None = None
    fitted: int | None = None
    seed: int | None = None
    seeds: str | None = None
    extractor: str | None = None
    weights: Path | None = None
    lpips_weights: Path | None = None
    noise_floor: str = "auto"
    resize: bool = False
    likelihood: str | None = None
    skip_unreadable: bool = False
    tags: Sequence[str] = field(default_factory=tuple)
    priority: int = 0
    shard_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What a wish came to.

    Attributes:
        request: The protocol as wished; weights that nobody publishes stand in its name, for they rank separately.
        images: The real images.
        noise_floor_images: Those of the noise floor, if they are another set.
        requests: What to submit: checkpoints, then noise floors.
        forward_passes: Images through the feature network if nothing is stored yet.
        notes: Sentences that the user should read.
    """

    request: ProtocolRequest
    images: ImageSet
    requests: tuple[EvaluationRequest, ...]
    forward_passes: int
    notes: tuple[str, ...]
    noise_floor_images: ImageSet | None = None


def gather(
    wish: Wish,
    settings: Settings,
    *,
    references: Callable[[str], ImportedReferenceEntry],
    on_images_surveyed: Callable[[int, int], None] | None = None,
) -> Gathered:
    """Look everything up.

    Args:
        wish: What was typed.
        settings: Where things are kept.
        references: Name → imported statistics, such as `ReferenceStore.imported`.
        on_images_surveyed: Told how many images were looked at, of how many.

    Raises:
        NotFound: A path or set of images that does not exist.
        InvalidInput: Something that cannot be used, told before anything is stored.
        WeightsUnavailable: The weights of the feature network are not to be had.
    """
    tags, seeds, request = read_tags(wish.tags), read_seeds(wish.seed, wish.seeds), wished_protocol(wish)
    imported = None if request.imported_reference is None else references(request.imported_reference)
    if imported is not None:
        request = with_extractor_of(request, imported)

    from vaeval_core.features.catalogue import resolve_extractor
    from vaeval_core.features.weights_catalogue import is_published
    from vaeval_core.images.catalogue import survey_images

    descriptions, notes_of_search = described_checkpoints(
        wish.checkpoints, settings, skip_unreadable=wish.skip_unreadable
    )
    images = survey_images(
        wish.data,
        skip_unreadable=wish.skip_unreadable,
        cache_folder=settings.home / "datasets",
        on_progress=on_images_surveyed,
    )
    with download_display(f"fetching the weights of {request.extractor}") as show:
        extractor = resolve_extractor(
            request.extractor,
            weights=wish.weights,
            weights_folder=settings.home / "weights",
            resize=request.extractor_resize,
            precision=request.extractor_precision,
            on_progress=show,
        )
    if imported is not None:
        require_same_extractor(extractor, imported)
    if not is_published(extractor.name, extractor.weights_digest, settings.home / "weights"):
        request = request.model_copy(update={"name": f"{request.name}{OWN_WEIGHTS}{extractor.weights_digest[:12]}"})

    lpips = None
    if wish.lpips_weights is not None:
        from vaeval_core.features.lpips_weights import import_lpips_weights

        lpips = import_lpips_weights(wish.lpips_weights, settings.home / "weights")
        said = f"lpips={lpips.network}-{lpips.weights_digest[:12]}"
        request = request.model_copy(update={"name": f"{request.name},{said}"})

    from scheduler.submission import forward_passes, prepare, without_duplicates
    from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE

    checkpoints, notes_of_twins = without_duplicates(descriptions)
    requests = prepare(
        descriptions,
        images,
        request,
        extractor,
        seeds=seeds,
        tags=tags,
        priority=wish.priority,
        shard_size=wish.shard_size or DEFAULT_SHARD_SIZE,
        imported=imported,
        lpips=lpips,
    )
    floor = noise_floor(wish, requests, images, settings)
    requests += floor.requests
    return Gathered(
        request=request,
        images=images,
        requests=tuple(requests),
        forward_passes=forward_passes(requests),
        notes=(
            *notes_of_search,
            *at_most(notes_of_twins),
            *assumptions(checkpoints),
            *_skipped(images.skipped),
            *_fewer_images(request, len(images)),
            *floor.notes,
        ),
        noise_floor_images=floor.images,
    )


def wished_protocol(wish: Wish) -> ProtocolRequest:
    """The protocol with the options laid over it; another count or likelihood changes its name, for it ranks separately.

    Fewer samples are asked for to be done sooner, so draws from the fitted density are then no more, unless they are asked for.
    """
    from pydantic import ValidationError

    from vaeval_core.likelihood import Likelihood
    from vaeval_core.presets import ProtocolRequest, read_protocol
    from vaeval_core.wrong_values import expectation

    request = read_protocol(wish.protocol)
    names = ("samples", "reconstructions", "interpolations", "fitted")
    wished = {name: getattr(wish, name) for name in names} | {"reference": read_reference(wish.reference)}
    counts = {
        name: number
        for name in ("samples", "reconstructions", "reference", "interpolations", "fitted")
        if isinstance(number := wished[name], int) and number != getattr(request, name)
    }
    changes: dict[str, object] = dict(counts)
    if wish.samples is not None and wish.fitted is None:
        changes["fitted"] = min(wish.samples, request.fitted)
    said: dict[str, object] = dict(counts)
    if isinstance(wished["reference"], str):
        changes["imported_reference"] = said["reference"] = wished["reference"]
    elif wished["reference"] is not None and request.imported_reference is not None:
        changes["imported_reference"] = None
        said["reference"] = wished["reference"]
    if wish.likelihood is not None:
        likelihood = Likelihood.parse(wish.likelihood)
        if likelihood != request.likelihood:
            changes["likelihood"] = said["likelihood"] = likelihood
    if said:
        changes["name"] = ",".join([request.name, *(f"{name}={value}" for name, value in said.items())])
    if wish.extractor is not None:
        changes["extractor"] = wish.extractor
    if wish.resize:
        changes["resize"] = True
    try:
        # Without what nobody has set, so that it stays known what was: an imported reference brings its extractor.
        return ProtocolRequest.model_validate({**request.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise InvalidInput(
            f"The option --{name} has a value that cannot be used.",
            received=str(problem["input"]),
            expected=expectation(problem),
            next_step="vaeval run --help",
        ) from error


def read_reference(word: int | str | None) -> int | str | None:
    """A number of images, or the name of imported statistics.

    Raises:
        InvalidInput: It is neither.
    """
    if word is None or isinstance(word, int):
        return word
    if word.isdecimal():
        return int(word)

    from scheduler.references import is_name

    if not is_name(word):
        raise InvalidInput(
            "The option --reference has a value that cannot be used.",
            received=word,
            expected="a number of images, at least 2, or the name of imported statistics",
            next_step="vaeval reference list",
        )
    return word


def read_tags(words: Sequence[str]) -> dict[str, str]:
    """`beta=4` → {"beta": "4"}.

    Raises:
        InvalidInput: A word without `=`, without a key, or two values for one key.
    """
    tags: dict[str, str] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key or tags.get(key, value) != value:
            raise InvalidInput(
                "A tag cannot be used." if key not in tags else f"The tag {key} has two values.",
                received=f"--tag {word}",
                expected="key=value, each key once",
                next_step="--tag beta=4",
            )
        tags[key] = value
    return tags


def read_seeds(seed: int | None, seeds: str | None) -> tuple[int, ...] | None:
    """The seeds of --seed or --seeds; None for the protocol's own.

    Raises:
        InvalidInput: Both are given, or a seed is no number from 0 to 2⁶³ - 1.
    """
    if seed is not None and seeds is not None:
        raise InvalidInput(
            "--seed and --seeds exclude each other.",
            received=f"--seed {seed} --seeds {seeds}",
            expected="one of the two",
            next_step=f"--seeds {','.join(dict.fromkeys([str(seed), *seeds.split(',')]))}",
        )
    words = [str(seed)] if seed is not None else seeds.split(",") if seeds is not None else None
    if words is None:
        return None
    if not all(word.strip().isdecimal() and int(word) < 2**63 for word in words):
        raise InvalidInput(
            "The seeds cannot be used.",
            received=",".join(words),
            expected="whole numbers from 0 to 2⁶³ - 1, separated by commas",
            next_step="--seeds 0,1,2",
        )
    return tuple(int(word) for word in words)


def _skipped(paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return [
        f"{count(len(paths), 'image file')} cannot be read and {'is' if len(paths) == 1 else 'are'} left out: {shown}."
    ]


def _fewer_images(request: ProtocolRequest, num_images: int) -> list[str]:
    wanted = max(request.reconstructions, 0 if request.imported_reference else request.reference)
    if num_images >= wanted:
        return []
    sentence = (
        f"The data set has {num_images:,} images, the protocol {request.name} asks for {wanted:,}: all are used, and the"
        " scores rank only against others with as many."
    )
    return [sentence]
