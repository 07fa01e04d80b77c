"""How many rows of a table have their picture; the tables themselves: test_recording.py."""

import pytest

from study.config import Config
from study.errors import UsageError
from study.sweep import local, space
from study.sweep.sweep import Sweep
from study.tracking import client, tables


def test_the_pictures_of_a_table_can_be_set(monkeypatch):
    assert tables.count_pictures() == tables.PICTURES
    monkeypatch.setenv("STUDY_TABLE_PICTURES", "100")
    assert tables.count_pictures() == 100
    for wrong in ("101", "-1", "many"):
        monkeypatch.setenv("STUDY_TABLE_PICTURES", wrong)
        with pytest.raises(UsageError, match=f"STUDY_TABLE_PICTURES={wrong}: .* from 0 to 100"):
            tables.count_pictures()


def test_what_cannot_be_is_refused_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_TABLE_PICTURES", "many")
    sweep = Sweep("mine", "study", "grid", {"seed": space.choice("seed", [Config().seed])})
    for log_in in (lambda: local.run(sweep, tmp_path / "mine"), client.check_login):
        with pytest.raises(UsageError, match="STUDY_TABLE_PICTURES=many"):
            log_in()
    assert not (tmp_path / "mine").exists()
