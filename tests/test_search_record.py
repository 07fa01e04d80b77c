import pytest

from study import files, search_record
from study.errors import DamagedError
from study.search_record import SearchRecord


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert search_record.read(tmp_path) is None
    record = SearchRecord("bayes", "val/accuracy", "maximize", 7, True, ("layer_s1", "batch_s1"))
    search_record.write(tmp_path, record)
    assert search_record.read(tmp_path) == record


def test_what_a_later_version_adds_is_left_out(tmp_path):
    files.write_json(tmp_path / search_record.FILE, {"method": "random", "pruned": 3})
    assert search_record.read(tmp_path) == SearchRecord("random")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"method": 1},
        {"method": "random", "runs": None},
        {"method": "random", "runs": [1]},
        {"method": "random", "runs": "layer_s1"},
        {"method": "random", "exhausted": 1},
        {"method": "random", "metric": "accuracy"},
        {"method": "random", "seed": "7"},
    ],
)
def test_a_record_of_other_types_is_damaged(content, tmp_path):
    files.write_json(tmp_path / search_record.FILE, content)
    with pytest.raises(DamagedError, match=r"search\.json: is damaged"):
        search_record.read(tmp_path)
