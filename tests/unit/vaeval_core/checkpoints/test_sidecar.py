"""`vaeval.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaeval_core.checkpoints.sidecar import CheckpointSettings, read_sidecar
from vaeval_core.errors import CheckpointRejected
from vaeval_core.likelihood import Likelihood


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path) == CheckpointSettings()


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "vaeval.yaml").write_text("# nothing yet\n")
    assert read_sidecar(tmp_path) == CheckpointSettings()


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "vaeval.yaml").write_text(
        "image_range: [-1, 1]\nscale: log_sigma\ndecoder_output: mean\nimage_shape: [28, 28, 3]\n"
    )
    settings = read_sidecar(tmp_path)
    assert (settings.image_range, settings.scale) == ((-1.0, 1.0), "log_sigma")
    assert (settings.decoder_output, settings.image_shape) == ("mean", (28, 28, 3))


@pytest.mark.parametrize("text", ["likelihood: {kind: gaussian, sigma: 0.025}", "likelihood: gaussian:0.025"])
def test_a_likelihood_is_read_as_a_mapping_or_a_word(tmp_path: Path, text: str) -> None:
    (tmp_path / "vaeval.yaml").write_text(text)
    assert read_sidecar(tmp_path).likelihood == Likelihood(kind="gaussian", sigma=0.025)


@pytest.mark.parametrize(
    ("text", "received", "expected"),
    [
        ("image_rnage: [-1, 1]", "image_rnage: [-1, 1]", "instead of image_rnage perhaps image_range"),
        ("image_range: [1, -1]", "image_range: [1, -1]", "the first number must be below the second"),
        ("image_range: [0, .inf]", "image_range[1]: inf", "image_range[1]: a finite number"),
        ("image_range: [0]", "image_range: [0]", "image_range: one value more"),
        ("image_range: [0, 1, 2]", "image_range: [0, 1, 2]", "image_range: 2 values"),
        ("scale: stddev", "'stddev'", "scale: log_variance, log_sigma, sigma or variance"),
        ("decoder_output: probs", "'probs'", "decoder_output: mean or logits"),
        ("image_shape: [28, 28, 4]", "[28, 28, 4]", "1 or 3 channels"),
        ("likelihood: gaussian", "likelihood: 'gaussian'", "likelihood: a gaussian likelihood needs its sigma"),
        ("likelihood: gaussian:wide", "likelihood[sigma]: 'wide'", "likelihood[sigma]: a number"),
        ("likelihood: {kind: gaussian, sigma: -1}", "likelihood[sigma]: -1", "likelihood[sigma]: more than 0"),
        ("likelihood: {kind: bernoulli, sigma: 1}", "'sigma': 1", "only a gaussian likelihood has a sigma"),
        ("likelihood: {kind: laplace}", "'laplace'", "likelihood[kind]: bernoulli, gaussian or none"),
        ("likelihood: {sigma: 1}", "{'sigma': 1}", "a likelihood needs its kind"),
        ("decoder_output: logits\nimage_range: [-1, 1]", "[-1, 1]", "the sigmoid of logits"),
        ("- image_range", "the file", "lines such as `name: value`"),
        ("image_range: [0, 1", "while parsing", "YAML lines"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor", "YAML lines"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_keys_there_are(
    tmp_path: Path, text: str, received: str, expected: str
) -> None:
    (tmp_path / "vaeval.yaml").write_text(text)
    with pytest.raises(CheckpointRejected) as caught:
        read_sidecar(tmp_path)
    assert received in str(caught.value.received)
    assert expected in str(caught.value.expected)
    assert "image_range, scale, decoder_output, image_shape" in str(caught.value.expected)
    assert str(tmp_path / "vaeval.yaml") in caught.value.what


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "vaeval.yaml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(CheckpointRejected, match=r"1,048,577 bytes, more than the 1,048,576"):
        read_sidecar(tmp_path)
