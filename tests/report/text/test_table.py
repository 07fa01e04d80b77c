from study.report import page
from study.report.text.table import Table


def test_a_table_in_markdown_has_its_header_and_its_note():
    assert page.markdown_table(Table(["#", "norm"], [["1", "BN|GN"]], "Means.")).splitlines() == [
        "| # | norm |", "| - | - |", "| 1 | BN\\|GN |", "", "Means.",
    ]  # fmt: skip


def test_a_table_without_a_note_ends_with_its_rows():
    assert page.markdown_table(Table(["#"], [["1"], ["2"]])).splitlines() == [
        "| # |",
        "| - |",
        "| 1 |",
        "| 2 |",
    ]
