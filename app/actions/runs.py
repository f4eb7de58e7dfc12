"""Runs of a checkpoint over a dataset: begin, look, stop, try failed images again."""

from typing import Any

from app.services import CheckpointFile, Services
from app.services.runner import RunState
from comask.annotation.index import DatasetIndex

SHOWN_FAILURES = 1_000


def started(services: Services, dataset: str, found: DatasetIndex, file: CheckpointFile) -> str:
    """Run over those images that have no result; a run that goes on already is joined."""
    run = current(services, dataset, file)
    if run is not None:
        return run
    missing = frozenset(found.missing)
    done = services.rows_done(file, dataset) - missing
    pending = [
        services.datasets.key(dataset, row)
        for row in range(len(found))
        if row not in done and row not in missing
    ]
    return services.runner.start(_owner(services, dataset, file), file, pending, done=len(done))


def standing(
    services: Services, dataset: str, found: DatasetIndex, file: CheckpointFile
) -> dict[str, Any]:
    """Say what is done of a dataset, and which run goes on over it, if one does."""
    missing = frozenset(found.missing)
    done = services.rows_done(file, dataset) - missing
    run = current(services, dataset, file)
    return {"run": run, "done": len(done), "total": len(found) - len(missing)}


def current(services: Services, dataset: str, file: CheckpointFile) -> str | None:
    """Find the run that goes on over a dataset with a checkpoint."""
    run = services.runner.latest(_owner(services, dataset, file))
    state = services.runner.state(run)
    return run if state is not None and state.stage == "running" else None


def retried(services: Services, run: str) -> str | None:
    """Run again over the images that failed; None for an unknown run."""
    known = services.runner.task(run)
    state = services.runner.state(run)
    if known is None or state is None:
        return None
    owner, file = known
    if state.stage == "running":
        services.runner.again(run)
        return run
    keys = [failure.key for failure in state.failures]
    return services.runner.start(owner, file, keys, done=state.done)


def described(services: Services, run: str) -> dict[str, Any] | None:
    """Say how far a run is; None for an unknown one."""
    state = services.runner.state(run)
    known = services.runner.task(run)
    if state is None or known is None:
        return None
    return _plain(services, state) | {"run": run, "checkpoint": known[1].name}


def _plain(services: Services, state: RunState) -> dict[str, Any]:
    return {
        "stage": state.stage,
        "done": state.done,
        "total": state.total,
        "failed": [
            {"key": one.key, "file_name": _name(services, one.key), "sentence": one.sentence}
            for one in state.failures[:SHOWN_FAILURES]
        ],
        "failed_count": len(state.failures),
        "seconds_left": state.seconds_left,
        "sentence": state.sentence,
    }


def _name(services: Services, key: str) -> str | None:
    image = services.images.find(key)
    return None if image is None else image.file_name


def _owner(services: Services, dataset: str, file: CheckpointFile) -> str:
    return f"dataset {dataset} {services.checkpoints.identity(file)}"
