"""Lines of one family are told apart, however many there are."""

from __future__ import annotations

from cdmrun.report.lines import Line
from cdmrun.report.look import looks


def test_no_two_of_many_lines_of_a_family_look_the_same() -> None:
    lines = [Line("absorbing", "cdm", "joint", f"student-{number}", "student", (1, 2)) for number in range(17)]
    drawn = looks(lines, "name")
    assert len({(look.colour, look.dashes) for look in drawn.values()}) == len(lines)


def test_the_first_lines_of_a_family_have_its_colour() -> None:
    lines = [Line("absorbing", "cdm", "joint", f"student-{number}", "student", (1, 2)) for number in range(17)]
    few, many = looks(lines[:2], "name"), looks(lines, "name")
    assert few[lines[0]].colour == few[lines[1]].colour
    assert all(few[line] == many[line] for line in lines[:2])
