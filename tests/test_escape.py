"""Text that somebody else wrote, where it is shown."""

import logging

import pytest

from study import escape


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GN + L1 2.5e-5 (sum) ± 0.1 %", "GN + L1 2.5e-5 (sum) ± 0.1 %"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("one\nleft out: two", r"one\nleft out: two"),
        ("a\rb\tc\x9bd", r"a\rb\tc\x9bd"),
        ("\u202eabc", r"\u202eabc"),
        ("half \ud800", r"half \ud800"),
        (5, "5"),
    ],
)
def test_text_cannot_act_on_a_terminal(text, shown):
    assert escape.printable(text) == shown
    record = logging.LogRecord("study", logging.INFO, "", 0, "%s", (text,), None)
    line = escape.PrintableFormatter().format(record)
    assert all(part.isprintable() for part in line.split("\n"))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("GN (5 groups), p < 0.05, 2.5e-5 & `holdout` norm_affine", None),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<!-- <?x <https://e.org>", "&lt;!-- &lt;?x &lt;https://e.org>"),
        ("![x](https://e.org/x.png)", r"!\[x\]\(https://e.org/x.png)"),
        ("[x](javascript:alert(1))", r"\[x\]\(javascript:alert(1))"),
        ("[x]: javascript:alert(1)", r"\[x\]: javascript:alert(1)"),
        ("a | b\n\n# c", r"a \| b\\n\\n# c"),
        ("*a* _b_ __c__ d_e ~~f~~", r"\*a\* \_b\_ \_\_c\_\_ d_e \~~f\~~"),
        ("a\\", "a\\\\"),
        ("&lt;b> &#91;", "&amp;lt;b> &amp;#91;"),
    ],
)
def test_text_is_shown_in_markdown_as_it_is(text, written):
    assert escape.markdown(text) == (text if written is None else written)
    assert escape.markdown(escape.Markdown(text)) == text


def test_code_is_fenced_by_more_backticks_than_it_has():
    assert escape.code("study report a_b") == "`study report a_b`"
    assert escape.code("a `` b") == "``` a `` b ```"
    assert escape.verbatim("a\nb <c>") == r"a\nb <c>"
    assert escape.cells(["a|b", 1]) == r"a\|b | 1"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\t5", "'\t5"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, -0.5),
        ("BN = LN", "BN = LN"),
        ("", ""),
        (None, None),
    ],
)
def test_no_text_is_a_formula(value, written):
    assert escape.cell(value) == written
