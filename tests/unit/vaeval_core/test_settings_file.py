"""Whatever a file of settings holds, it is settings or a mistake that is told in a few words, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaeval_core.checkpoints.sidecar import read_sidecar
from vaeval_core.errors import CheckpointRejected, InvalidInput, VaevalError
from vaeval_core.presets import read_protocol
from vaeval_core.settings_file import MOST_BYTES


def nested_aliases(levels: int) -> str:
    """A list of lists of lists: nine times as large with each line, without end but for the last."""
    lines = ["- &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


NO_SETTINGS = [
    pytest.param("samples: 2001-99-99", "month must be in 1..12", id="a date that is none"),
    pytest.param(f"samples: {'9' * 5000}", "integer", id="a number of 5,000 digits"),
    pytest.param("[" * 1500, "nested too deeply", id="brackets without end"),
    pytest.param("samples: [", "expected", id="a bracket that nothing closes"),
    pytest.param("# " + "x" * MOST_BYTES, "bytes, more than the 1,048,576", id="megabytes"),
    pytest.param(b"samples: \xff", "utf-8", id="no text"),
]


def refused(path: Path) -> VaevalError:
    """How the file is refused, as a protocol or as the settings of a checkpoint."""
    if path.name == "vaeval.yaml":
        with pytest.raises(CheckpointRejected) as caught:
            read_sidecar(path.parent)
        return caught.value
    with pytest.raises(InvalidInput) as protocol:
        read_protocol(str(path))
    return protocol.value


@pytest.mark.parametrize("name", ["vaeval.yaml", "mine.yaml"])
@pytest.mark.parametrize(("content", "received"), NO_SETTINGS)
def test_what_is_no_settings_is_told_as_a_mistake_in_the_file(
    tmp_path: Path, name: str, content: str | bytes, received: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = refused(path)
    assert "not YAML" in error.what
    assert received in str(error.received)
    assert "`" in str(error.expected), "an example of a line"
    assert error.next_step is not None


@pytest.mark.parametrize("name", ["vaeval.yaml", "mine.yaml"])
def test_a_small_file_that_stands_for_a_huge_value_is_refused_in_a_few_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(nested_aliases(40), encoding="utf-8")  # 9 to the 40th: written out it would not end
    assert len(str(refused(path).received)) < 1000
