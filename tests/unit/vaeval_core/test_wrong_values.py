"""What is said about a refused value stays short, whatever the value is."""

from __future__ import annotations

import yaml

from vaeval_core.wrong_values import told


def test_a_small_file_that_stands_for_a_huge_value_gives_a_short_message() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    value = yaml.safe_load("\n".join(lines))["a11"]
    received, _ = told(
        [{"type": "list_type", "loc": ("image_range",), "input": value, "msg": "Input should be a list"}], []
    )
    assert received.startswith("image_range: [[")
    assert len(received) < 1000
