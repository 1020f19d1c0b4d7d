"""docs/database.md against the database: every column is explained, every query runs and gives what it says; on both."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from sqlalchemy import inspect

from scheduler.faults import Fault
from scheduler.store.tables import metadata
from tests.factories import checkpoint_entry, evaluation_request, protocol
from tests.laws.stores import Stores
from tests.laws.test_noise_floors import noise_floor

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_table_and_view_has_a_section() -> None:
    assert SECTIONS.keys() == metadata.tables.keys() | {"leaderboard", "scores_long"}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_column_is_explained_in_its_order(stores: Stores, name: str) -> None:
    explained = re.findall(r"^\| `(\w+)` \| .+ \|$", SECTIONS[name], re.MULTILINE)
    columns = stores.database.read(lambda connection: inspect(connection).get_columns(name))
    assert explained == [column["name"] for column in columns]


class TestQueries:
    @pytest.fixture
    def answers(self, stores: Stores) -> list[list[tuple[object, ...]]]:
        """Answers to the queries of the page, on five evaluations with two seeds."""
        one, two = (protocol(seed=seed, num_samples=32) for seed in (1, 2))
        first, second = (checkpoint_entry(f"beta4/step-{step}", step=step) for step in (100, 200))
        stores.submit(
            evaluation_request(first, protocol=one, protocol_name="one"),
            evaluation_request(second, protocol=one, protocol_name="one"),
            evaluation_request(second, protocol=two, protocol_name="two"),
            evaluation_request("beta8/step-100", protocol=two, protocol_name="two"),
        )
        stores.finish_with({1: 40.0, 2: 10.0, 3: 14.0, 4: math.nan})
        stores.submit(evaluation_request("broken", protocol=one))
        stores.work.fail_shard(stores.claim(), "The decoder gives no images.", fault=Fault.INPUT)
        return [stores.query(query) for query in QUERIES]

    def test_there_are_six(self) -> None:
        assert len(QUERIES) == 6

    def test_the_best_of_each_protocol(self, answers: list[list[tuple[object, ...]]]) -> None:
        assert answers[0] == [
            ("one", "digits:test", "beta4/step-200", 10.0, None),
            ("two", "digits:test", "beta4/step-200", 14.0, None),
        ]

    def test_the_scores_of_one_run(self, answers: list[list[tuple[object, ...]]]) -> None:
        assert answers[1] == [(100, 40.0, None, None), (200, 10.0, None, None), (200, 14.0, None, None)]

    def test_the_luck_of_the_seed(self, answers: list[list[tuple[object, ...]]]) -> None:
        assert answers[2] == [("beta4/step-200", 2, 12.0, 4.0)]

    def test_missing_scores(self, answers: list[list[tuple[object, ...]]]) -> None:
        ((checkpoint, metric, kind, reason),) = answers[3]
        assert (checkpoint, metric, kind) == ("beta8/step-100", "fid", "nan")
        assert "nan" in str(reason)

    def test_failures(self, answers: list[list[tuple[object, ...]]]) -> None:
        story = "Shard 0 (images 0 to 31) failed after 1 attempt. The decoder gives no images."
        assert answers[4] == [(5, "broken", story)]

    def test_noise_floors_are_what_checkpoints_are_above_and_nothing_else(self, stores: Stores) -> None:
        stores.submit(noise_floor(), "beta4/step-100", noise_floor(seed=1), "beta4/step-200")
        stores.finish_with({1: 2.0, 2: 30.0, 3: 3.0, 4: 10.0})
        assert stores.query(QUERIES[5]) == [("beta4/step-200", 10.0, 2.0), ("beta4/step-100", 30.0, 2.0)]
        assert stores.query(QUERIES[2]) == []
        assert stores.query(QUERIES[3]) == []
