"""Tables and sentences in a given number of columns."""

from __future__ import annotations

from cli.layout import Column, fitted, joined, labelled, laid_out, wrapped

NUMBER = Column(title="N", align="right")
NAME = Column(title="NAME", shrinkable=True)
FINDING = Column(title="FINDING", wraps=True)


def test_the_least_important_column_goes_first() -> None:
    columns = [NUMBER, Column(title="B", droppable=1), Column(title="C", droppable=2)]
    rows = [["1", "b" * 10, "c" * 10]]
    assert fitted(columns, rows, 30)[0] == [0, 1, 2]
    assert fitted(columns, rows, 20)[0] == [0, 1]
    assert fitted(columns, rows, 5)[0] == [0]


def test_a_number_is_never_shortened() -> None:
    _, widths = fitted([NUMBER, NAME], [["123456789", "n" * 50]], 30)
    assert widths == [9, 19]


def test_where_nothing_helps_nothing_is_shortened() -> None:
    _, widths = fitted([NUMBER, NAME], [["123456789", "n" * 50]], 20)
    assert widths == [9, 50]


def test_a_table_that_nothing_makes_fit_shows_every_field_on_a_line_of_its_own() -> None:
    columns = [NUMBER, Column(title="LONG"), Column(title="DROPPABLE", droppable=1), Column(title="EMPTY")]
    layout = laid_out(columns, [["1", "x" * 40, "d", ""], ["22", "y", "e", ""]], 30)
    assert (layout.header, layout.hidden) == (None, ())
    assert layout.rows == (
        f"N          1\nLONG       {'x' * 40}\nDROPPABLE  d\nEMPTY",
        "N          22\nLONG       y\nDROPPABLE  e\nEMPTY",
    )


def test_a_table_that_fits_exactly_stays_one() -> None:
    columns = [NUMBER, Column(title="LONG")]
    assert laid_out(columns, [["1", "x" * 10]], 13).rows == (f"1  {'x' * 10}",)
    assert laid_out(columns, [["1", "x" * 10]], 12).header is None


def test_headings_without_rows_go_on_in_a_further_line() -> None:
    layout = laid_out([Column(title=word) for word in ("alpha", "beta", "gamma")], [], 12)
    assert (layout.header, layout.rows) == ("alpha  beta\n  gamma", ())


def test_a_sentence_in_the_last_column_goes_on_below_itself() -> None:
    layout = laid_out([NUMBER, FINDING], [["7", "the disk is full, so nothing can be written"]], 30)
    assert layout.header == "N  FINDING"
    assert layout.rows == ("7  the disk is full, so\n   nothing can be written",)


def test_where_there_is_room_a_sentence_is_one_line() -> None:
    assert laid_out([NUMBER, FINDING], [["7", "the disk is full"]], 1000).rows == ("7  the disk is full",)


def test_an_address_is_never_cut() -> None:
    address = "https://example.org/" + "weights/" * 10
    assert wrapped(f"Bring it from {address} by hand.", 40, "  ").splitlines() == [
        "Bring it from",
        f"  {address}",
        "  by hand.",
    ]


def test_a_command_in_backticks_stays_in_one_line() -> None:
    assert wrapped("No room for three columns, so type `vaeval leaderboard`.", 44).splitlines() == [
        "No room for three columns, so type",
        "`vaeval leaderboard`.",
    ]


def test_lines_that_begin_with_a_space_are_left_alone() -> None:
    text = "Next:\n  vaeval sql 'SELECT checkpoint, fid FROM leaderboard ORDER BY fid'"
    assert wrapped(text, 30) == text


def test_lines_of_a_part_stay_one_block_beside_its_label() -> None:
    assert labelled("received: ", "the end of x.log:\n    line 1\nand more", 40).splitlines() == [
        "received: the end of x.log:",
        "              line 1",
        "          and more",
    ]


def test_a_part_is_never_broken() -> None:
    assert joined(["#1 0.5", "#2 0.25", "#3 0.125"], "  ", 17) == "#1 0.5  #2 0.25\n  #3 0.125"


def test_a_narrow_column_stays_where_a_wide_one_that_is_dearer_had_to_go() -> None:
    columns = [NUMBER, Column(title="WIDE", droppable=1), Column(title="S", droppable=2)]
    assert fitted(columns, [["1", "w" * 30, "s"]], 20)[0] == [0, 2]
