from study.config import Config
from study.report.figures import tradeoff
from tests.report.conftest import spread
from tests.report.figures.conftest import study


def test_a_tradeoff_needs_a_difference(saved, tmp_path):
    small, big = Config(), Config(network="mnist_9802")
    alike = study(*spread(small, 99.4), *spread(Config(norm="layer"), 99.3))
    assert tradeoff.draw(tmp_path, alike) is None
    tradeoff.draw(tmp_path, study(*spread(small, 99.4), *spread(big, 99.5)))
    assert [row["parameters"] for row in saved["accuracy_parameters"][1]] == [7684, 9802]
