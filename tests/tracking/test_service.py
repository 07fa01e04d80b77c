from study.tracking import service


class HandleAbandonedError(Exception):
    """As wandb names it."""


def test_a_lost_service_is_told_by_its_errors():
    for error in (ConnectionResetError(), BrokenPipeError(), HandleAbandonedError()):
        assert service.is_lost(error)
    assert not service.is_lost(OSError()) and not service.is_lost(ValueError())


def test_of_the_runs_of_a_lost_service_the_first_replaces_it(monkeypatch):
    ended = []
    monkeypatch.setattr("wandb.teardown", lambda **_: ended.append(1))
    seen = service.restarts()
    service.restart(seen)
    service.restart(seen)
    assert len(ended) == 1 and service.restarts() == seen + 1
