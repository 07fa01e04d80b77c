import numpy as np

from study.metrics import Metric
from study.report import stats, words


def test_a_metric_is_written_with_half_its_interval_where_it_has_one():
    three, one = stats.mean_interval([99.1, 99.2, 99.3]), stats.mean_interval([99.25])
    assert words.in_words(three) == "99.20 ± 0.25 %" and words.in_words(one) == "99.25 %"
    loss = Metric("val/loss", False, None)
    assert words.in_words(stats.mean_interval([0.5]), loss) == "0.5000"
    assert words.in_words(stats.mean_interval([])) == "unknown"


def test_p_values_are_written_with_two_digits():
    assert [words.format_p(p) for p in (np.nan, 0.0004, 0.0314, 1.0)] == [
        "p unknown", "p < 0.001", "p = 0.031", "p = 1",
    ]  # fmt: skip


def test_long_lists_are_cut_and_words_with_commas_told_apart():
    assert words.listed(["BN", "LN"]) == "BN, LN"
    assert words.listed(["BN, lr 0.1", "LN"]) == "BN, lr 0.1; LN"
    assert words.listed([str(i) for i in range(11)]).endswith("6, 7 and 3 more")
