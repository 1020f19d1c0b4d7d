"""Scores of disentanglement through the whole service, of codes whose scores are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import SMALL, Outcome
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.disentanglement.all_scores import DISENTANGLEMENT_SCORES

pytestmark = pytest.mark.slow

Vaeval = Callable[..., Outcome]

SHAPE = (2, 3, 1)
CLASSES = np.tile(np.array(list(itertools.product(range(6), range(6)))), (12, 1))
"""Two factors of six values, each pair twelve times: independent to the last digit."""

TURN = np.sqrt(0.5)
ENCODERS = {
    "perfect": [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]],
    "turned": [[TURN, TURN, 0, 0, 0, 0], [-TURN, TURN, 0, 0, 0, 0]],
    "duplicated": [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]],
    "useless": [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]],
}
"""Which pixels a latent looks at: the first four are the two factors, twice; the last two are noise."""

Scores = dict[str, dict[str, float]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An .npz of such images, with the classes beside them."""
    noise = np.random.default_rng(1).integers(40, 216, (len(CLASSES), 2))
    pixels = np.concatenate([40 + 35 * CLASSES, 40 + 35 * CLASSES, noise], axis=1)
    file = tmp_path / "factors.npz"
    np.savez(file, images=pixels.reshape(-1, *SHAPE).astype(np.uint8), latents_classes=CLASSES)
    return file


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One linear model for each kind of code."""
    for name, encoder in ENCODERS.items():
        weights = 0.2 * np.array(encoder).T
        linear_gaussian_vae(weights, np.full(6, 0.5), 1e-4, SHAPE).save(tmp_path / "codes" / name)
    return tmp_path / "codes"


WORDS = ("--samples", "0", "--reconstructions", "432", "--reference", "64", "--extractor", "pixels-8x8")


def scores_of(vaeval: Vaeval) -> Scores:
    query = "SELECT checkpoint, metric, value FROM scores_long"
    scores: Scores = {}
    for row in vaeval("sql", query, "--limit", "1000", "--json").document["rows"]:
        scores.setdefault(Path(row["checkpoint"]).name, {})[row["metric"]] = row["value"]
    return scores


def test_known_codes_get_their_scores_whatever_the_shards(
    vaeval: Vaeval, images: Path, models: Path, no_broker: None, work_off: Callable[[], None]
) -> None:
    vaeval("submit", models, "--data", images, *WORDS)
    work_off()
    scores = scores_of(vaeval)
    perfect, turned, duplicated, useless = (scores[name] for name in ENCODERS)
    assert set(DISENTANGLEMENT_SCORES) <= perfect.keys(), "the data set has factors, so nobody has to ask"
    assert perfect["mig"] == pytest.approx(1, abs=1e-12)
    assert [of["mig_ceiling"] for of in scores.values()] == [pytest.approx(1, abs=1e-12)] * len(ENCODERS)
    assert perfect["factor_vae"] == perfect["beta_vae"] == 1
    assert perfect["dci_informativeness"] > 0.99
    assert duplicated["mig"] == duplicated["sap"] == 0, "two dimensions tell each factor alike"
    assert duplicated["modularity"] == pytest.approx(perfect["modularity"], abs=1e-12) == pytest.approx(1, abs=1e-12)
    assert duplicated["dci_completeness"] < perfect["dci_completeness"] - 0.3
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness", "factor_vae", "modularity", "irs"):
        assert perfect[name] > turned[name] + 0.3, name
    for name in {*DISENTANGLEMENT_SCORES} - {"mig_ceiling", "dci_completeness", "modularity"}:
        assert perfect[name] > useless[name] + 0.3, name

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(images.parent / "other home"))
        vaeval("submit", models / "turned", "--data", images, *WORDS, "--shard-size", "32")
        work_off()
        assert scores_of(vaeval) == {"turned": turned}


def test_what_a_person_sees_is_the_score_and_its_ceiling(
    vaeval: Vaeval, images: Path, models: Path, no_broker: None, work_off: Callable[[], None]
) -> None:
    vaeval("submit", models / "perfect", "--data", images, *WORDS)
    work_off()
    lines = [line.split()[:2] for line in vaeval("show", "1").out.splitlines() if line.startswith("mig")]
    assert lines[:2] == [["mig", "1.000"], ["mig_ceiling", "1.000"]]
    board = vaeval("leaderboard", "--columns", "mig,mig_ceiling,dci_disentanglement").out
    assert "MIG ↑" in board
    assert "MIG-CEILING  " in board


def test_scores_are_told_factor_by_factor_under_the_names_of_the_file(
    vaeval: Vaeval, tmp_path: Path, images: Path, models: Path, no_broker: None, work_off: Callable[[], None]
) -> None:
    with np.load(images) as content:
        np.savez(images, **content, latents_names=["hue", "size"])
    vaeval("submit", models / "perfect", "--data", images, *WORDS)
    work_off()
    shown = vaeval("show", "1").out.splitlines()
    first = next(number for number, line in enumerate(shown) if line.startswith("BY FACTOR"))
    assert shown[first].split() == ["BY", "FACTOR", "0", "hue", "1", "size"]
    table = {cells[0]: cells[1:] for cells in (line.split() for line in shown[first + 1 : first + 9])}
    assert table["mig"] == table["mig_ceiling"] == ["1.000", "1.000"]
    assert set(table) == {
        name
        for name in DISENTANGLEMENT_SCORES
        if name not in {"dci_disentanglement", "modularity", "irs"}  # of these the components are latent dimensions
    }
    assert vaeval("show", "1", "--json").document["factors"] == ["hue", "size"]

    for kept in (tmp_path / "home" / "artifacts").rglob("*pictures*"):
        kept.unlink()
    without = vaeval("show", "1").out
    assert "0 factor 0" in without
    assert "mig " in without


def test_images_without_factors_are_not_asked_for_them_unless_a_protocol_does(
    vaeval: Vaeval, tmp_path: Path, checkpoints: Path, no_broker: None, work_off: Callable[[], None]
) -> None:
    protocol = tmp_path / "asked.yaml"
    protocol.write_text("samples: 0\nreconstructions: 40\nreference: 64\nextractor: pixels-8x8\nmetrics: [mig, irs]\n")
    vaeval("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    vaeval("submit", checkpoints / "step-2", "--data", "digits:test", "--protocol", protocol)
    work_off()
    usual, asked = (vaeval("show", number, "--json").document["scores"] for number in (1, 2))
    assert {score["metric"] for score in usual}.isdisjoint(DISENTANGLEMENT_SCORES)
    assert vaeval("show", "1", "--json").document["factors"] == []
    assert "BY FACTOR" not in vaeval("show", "1").out
    assert [(score["metric"], score["kind"]) for score in asked] == [
        ("irs", "not_applicable"),
        ("mig", "not_applicable"),
    ]
    assert "--data shapes" in asked[0]["reason"]
    assert "latents_classes" in asked[0]["reason"]
