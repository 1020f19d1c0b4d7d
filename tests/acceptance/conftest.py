"""Evaluating models as a whole, from their files to the rows in the database, in the process of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.composition import Application, open_application
from scheduler.lifecycle import EvaluationState
from scheduler.settings import Settings
from scheduler.submission import prepare, register
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.presets import ProtocolRequest
from workers.shard_runner import RunOutcome, make_runner


@pytest.fixture
def application(home_with_tables: Path) -> Iterator[Application]:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(home_with_tables)})) as opened:
        yield opened


@pytest.fixture
def evaluated(application: Application, tmp_path: Path) -> Callable[..., list[dict[str, MetricValue]]]:
    """Submit models, let a worker do all there is to do, and read every score back from the database."""

    def evaluated(
        data: str | Path, request: ProtocolRequest, *models: LinearGaussianVae | Path, shard: int = 32
    ) -> list[dict[str, MetricValue]]:
        files = [
            model if isinstance(model, Path) else model.save(tmp_path / f"checkpoint-{number}")
            for number, model in enumerate(models)
        ]
        images = survey_images(str(data))
        extractor = resolve_extractor(request.extractor, weights=None, weights_folder=tmp_path / "weights")
        requests = prepare([describe(file) for file in files], images, request, extractor, shard_size=shard)
        receipt = register(application, images, requests)
        runner = make_runner(application, "only@here")
        while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
            pass
        records = [application.reads.evaluation(entry.evaluation_id) for entry in receipt.evaluations]
        assert [(record.state, record.error) for record in records] == [(EvaluationState.FINISHED, None)] * len(records)
        return [{score.metric: score.value for score in record.scores} for record in records]

    return evaluated
