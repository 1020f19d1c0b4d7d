"""A database with many finished evaluations, written as rows in bulk: what a team has after years.

Their FID thins out towards the best, as it does where people tune: of 100,000 some fifty are about as good as the best one, and
these have files of what each image does to their scores.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, insert, update

from scheduler.store.artifact_keys import influence_key
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.database import Database
from scheduler.store.tables import checkpoints, datasets, evaluations, protocols, reference_sets, scores
from tests.factories import digest, protocol

METRICS = ("fid", "rfid", "mse", "cross_entropy", "psnr", "kl")
BATCH = 5_000
STD_ERROR = 0.5
NEAR = 8.0
"""Evaluations that are behind the best by less have a file of influences."""


def fill(database: Database, artifacts: ArtifactStore, num_evaluations: int, *, num_protocols: int = 1) -> None:
    """Write so many finished evaluations with six scores each, dealt to the protocols in turn; ids begin at 1."""
    generator = random.Random(0)
    fids = [5 + 295 * math.sqrt(generator.random()) for _ in range(num_evaluations)]

    def work(connection: Connection) -> None:
        now = datetime.now(UTC)
        specs = [protocol(seed=seed, num_samples=10_000) for seed in range(num_protocols)]
        data = {"digest": digest("digits"), "uri": "digits:test", "name": "digits:test", "num_images": 500}
        connection.execute(insert(datasets), [{"id": 1, **data, "created_at": now}])
        connection.execute(
            insert(protocols),
            [
                {
                    "id": number + 1,
                    "fingerprint": spec.fingerprint,
                    "name": f"protocol-{number}",
                    "spec": spec.model_dump(mode="json"),
                    "dataset_id": 1,
                    "extractor": spec.extractor.name,
                    "seed": spec.seed,
                    "num_samples": spec.num_samples,
                    "num_reconstructions": spec.num_reconstructions,
                    "created_at": now,
                }
                for number, spec in enumerate(specs)
            ],
        )
        lease = {"lease_token": 1, "attempts": 1}
        reference = {"id": 1, "key": specs[0].reference_key, "protocol_id": 1, "state": "finished", "submitted_at": now}
        connection.execute(insert(reference_sets), [{**reference, **lease, "file_key": "references/1/merged"}])
        in_batches(connection, checkpoints, (_checkpoint(number, now) for number in range(1, num_evaluations + 1)))
        in_batches(
            connection,
            evaluations,
            (
                {
                    "id": number,
                    "checkpoint_id": number,
                    "protocol_id": number % num_protocols + 1,
                    "reference_id": 1,
                    "priority": 0,
                    "state": "finished",
                    "submitted_at": now,
                    "started_at": now,
                    "finished_at": now + timedelta(seconds=number),
                    "fid": fids[number - 1],
                    "fid_std_error": STD_ERROR,
                    **lease,
                }
                for number in range(1, num_evaluations + 1)
            ),
        )
        in_batches(
            connection,
            scores,
            (
                {
                    "evaluation_id": number,
                    "metric": metric,
                    "version": 1,
                    "value": fids[number - 1] if metric == "fid" else generator.uniform(5.0, 300.0),
                    "std_error": STD_ERROR,
                    "num_images": 10_000,
                    "kind": "finite",
                    "components": [],
                    "warnings": [],
                }
                for number in range(1, num_evaluations + 1)
                for metric in METRICS
            ),
        )

    database.write(work)
    _keep_influences(database, artifacts, fids)
    # As after a night: PostgreSQL has looked at all rows, and knows which of them everybody sees.
    if database.is_sqlite:
        database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
        return
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


def _keep_influences(database: Database, artifacts: ArtifactStore, fids: Sequence[float]) -> None:
    generator = np.random.default_rng(0)
    farthest = min(fids) + NEAR
    near = [number for number, fid in enumerate(fids, start=1) if fid < farthest]
    common = generator.normal(size=10_000)
    files = []
    for number in near:
        influence = STD_ERROR * 100 * (common + 0.3 * generator.normal(size=10_000))
        file = artifacts.write_arrays(influence_key(number, 1), {"fid": influence - influence.mean()})
        files.append({"known": number, "key": file.key, "digest": file.digest})
    kept = update(evaluations).where(evaluations.c.id == bindparam("known"))
    statement = kept.values(influence_key=bindparam("key"), influence_digest=bindparam("digest"))
    database.write(lambda connection: connection.execute(statement, files))


def in_batches(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    """Insert rows, however many."""
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def _checkpoint(number: int, now: datetime) -> dict[str, Any]:
    name = f"sweep-{number // 100}/step-{number % 100}"
    return {
        "id": number,
        "digest": digest(name),
        "uri": f"/checkpoints/{name}",
        "name": name,
        "step": number % 100,
        "description": {"format": "linear-gaussian", "latent_shape": [2]},
        "tags": {"beta": "4"},
        "created_at": now,
    }
