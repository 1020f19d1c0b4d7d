"""What people call a checkpoint: its short name, its training step, and the order in which a list of them reads.

A step is looked for in the last part of the path (a file without its suffix), then in the part before it:

1. a word for progress and a number: `step-300`, `step=3`, `epoch_3`, `ep7`, `iter.1000`, `ckpt-12`, `checkpoint_12`;
2. a word for a saved model and a number: `vae-0100`, `model.07-0.35`, `weights_12`;
3. the whole part is a number: `300`.

Other numbers are none: `beta-4`, `seed_1`, `latent16`.
"""

from __future__ import annotations

import re
from pathlib import Path

_PROGRESS = r"(?:global[-_]?)?(?:steps?|epochs?|ep|iters?|iterations?|ckpt|checkpoints?)"
_SAVED_MODEL = r"(?:vae|autoencoder|model|weights|snapshot|cp)"
_STEP_PATTERNS = (
    re.compile(rf"(?<![a-z]){_PROGRESS}[-_=.]?(\d+)(?!\d)", re.IGNORECASE),
    re.compile(rf"(?<![a-z]){_SAVED_MODEL}[-_=.](\d+)(?!\d)", re.IGNORECASE),
    re.compile(r"^(\d+)$"),
)


def short_name(path: Path) -> str:
    """The last two parts of the path, a file without its suffix.

    >>> short_name(Path("runs/beta4/step-300/vae.keras"))
    'step-300/vae'
    """
    return "/".join(_last_parts(path))


def training_step(path: Path) -> int | None:
    """The step or epoch that the path names, by the rule of the module text; None if it names none.

    >>> training_step(Path("runs/beta-4/step-300")), training_step(Path("runs/beta-4/best"))
    (300, None)
    """
    for part in reversed(_last_parts(path)):
        for pattern in _STEP_PATTERNS:
            found = pattern.search(part)
            # Longer numbers are dates or hashes, and no database integer holds them.
            if found and len(found[1]) <= 15:
                return int(found[1])
    return None


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that reads digits as numbers, so that step-3 comes before step-10."""
    pieces = re.split(r"(\d+)", path.as_posix())
    # Digits sit at odd places; the flag keeps numbers and text from being compared.
    return [(place % 2 == 0, int(piece) if place % 2 else 0, piece) for place, piece in enumerate(pieces)]


def _last_parts(path: Path) -> list[str]:
    parts = [part for part in path.parts if part != path.anchor][-2:]
    if parts and path.suffix in {".keras", ".safetensors"}:
        parts[-1] = path.stem
    return parts
