"""A small installation with real parts throughout: SQLite, files, digits, closed-form checkpoints, a pixel extractor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from scheduler.composition import Application, open_application
from scheduler.settings import Settings
from scheduler.store.base import SubmissionReceipt
from scheduler.submission import prepare, register
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.presets import ProtocolRequest

Submit = Callable[..., SubmissionReceipt]


@pytest.fixture
def settings(home_with_tables: Path) -> Settings:
    return Settings.from_environment({"VAEVAL_HOME": str(home_with_tables)})


@pytest.fixture
def application(settings: Settings) -> Iterator[Application]:
    with open_application(settings) as opened:
        yield opened


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Register checkpoints `checkpoints/step-<latent size>`, models of digits that know two pixels or three."""

    def submit(
        application: Application, *, latent_sizes: Sequence[int] = (2,), images: int = 64, shard_size: int = 32
    ) -> SubmissionReceipt:
        digits = survey_images("digits:test")
        files = [
            linear_gaussian_vae(np.eye(64, size) * 0.2, np.full(64, 0.3), 0.01, (8, 8, 1)).save(
                tmp_path / "checkpoints" / f"step-{size}"
            )
            for size in latent_sizes
        ]
        extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=tmp_path / "weights")
        request = ProtocolRequest(
            name="tiny", samples=images, reconstructions=images, reference=images, extractor="pixels-8x8"
        )
        requests = prepare([describe(file) for file in files], digits, request, extractor, shard_size=shard_size)
        return register(application, digits, requests)

    return submit
