"""What became of the runs of a sweep's command."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a sweep's command did.

    existing: runs that were trained before; logged: runs of these that were logged to W&B only;
    trained: runs trained now, of which `stopped` stopped early; failed: run -> cause; remaining:
    runs left for later; by_other_workers: runs that other commands trained meanwhile; end_reason:
    why a search ended before its last run; warnings: what the user should know of the runs.
    """

    existing: int = 0
    logged: int = 0
    trained: int = 0
    stopped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    remaining: int = 0
    by_other_workers: int = 0
    end_reason: str = ""
    warnings: list[str] = field(default_factory=list)
