"""`--lpips-weights`: one more metric, part of what an evaluation is, and told where it is missing or of no use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from tests.lpips_tensors import lpips_state
from tests.unit.cli.conftest import SMALL, Outcome
from vaeval_core.features.lpips_weights import convert_state_dict

Vaeval = Callable[..., Outcome]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lpips") / "alex.lpips"
    save_file(convert_state_dict(lpips_state("alex"), path)[1], path)
    return path


@pytest.mark.usefixtures("no_broker")
def test_weights_make_another_evaluation_with_one_more_metric(vaeval: Vaeval, checkpoints: Path, weights: Path) -> None:
    words = ("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    vaeval(*words)
    vaeval(*words, "--lpips-weights", weights)
    without, given = (vaeval("show", number, "--json").document for number in (1, 2))
    assert set(given["protocol_spec"]["metrics"]) - set(without["protocol_spec"]["metrics"]) == {"lpips"}
    assert "lpips" not in without["protocol_spec"]
    digest = given["protocol_spec"]["lpips"]["weights_digest"]
    assert given["protocol"].endswith(f",lpips=alex-{digest[:12]}")


@pytest.mark.slow
@pytest.mark.usefixtures("no_broker")
def test_images_that_are_too_small_for_it_have_no_value_and_the_reason(
    vaeval: Vaeval, checkpoints: Path, weights: Path, work_off: Callable[[], None]
) -> None:
    vaeval("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL, "--lpips-weights", weights)
    work_off()
    (lpips,) = [each for each in vaeval("show", 1, "--json").document["scores"] if each["metric"] == "lpips"]
    assert (lpips["value"], lpips["kind"]) == (None, "not_applicable")
    assert lpips["reason"].endswith("images of at least 31 (alex) or 16 (vgg) pixels on a side.")


def test_a_protocol_that_leaves_it_out_is_refused(
    vaeval: Vaeval, checkpoints: Path, weights: Path, tmp_path: Path
) -> None:
    protocol = tmp_path / "mine.yaml"
    protocol.write_text("metrics: [mse]\n", encoding="utf-8")
    words = ("submit", checkpoints, "--data", "digits:test", "--protocol", protocol, "--lpips-weights", weights)
    outcome = vaeval(*words, *SMALL)
    assert outcome.exit_code == 2
    assert "Weights of LPIPS are given, and the protocol leaves LPIPS out." in outcome.err
    assert "add lpips to `metrics`" in outcome.err


def test_a_file_that_is_something_else_is_told(vaeval: Vaeval, checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pb").write_bytes(b"\n\x05hello")
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--lpips-weights", tmp_path / "other.pb")
    assert outcome.exit_code == 2
    assert "its format is graph" in outcome.err
    missing = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--lpips-weights", tmp_path / "none.pth")
    assert missing.exit_code == 4
    assert "There is no such weights file." in missing.err


def test_the_list_of_weights_says_how_to_get_them(vaeval: Vaeval) -> None:
    outcome = vaeval("weights", "list")
    assert "lpips" in outcome.out
    assert "torch.save(lpips.LPIPS(net='vgg').state_dict(), 'lpips-vgg.pth')" in outcome.err.replace("\n", " ")
