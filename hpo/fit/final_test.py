"""The one test of a fit: the best trial, refitted on all images that are not held out if there is time."""

from __future__ import annotations

from collections.abc import Callable

from hpo.errors import HpoError, StudyError
from hpo.fit import time_plan
from hpo.fit.data_summary import DataSummary
from hpo.fit.display import Display
from hpo.fit.folder import FitFolder
from hpo.heldout import Plan, TestRecord, evaluate, image_results
from hpo.heldout.protocols import CHECKPOINT, REFIT
from hpo.heldout.retraining import stopping_epoch
from hpo.record import State, StudyFolder, Trial
from hpo.results.held_out_confidence import interval_line
from hpo.space.objectives import searched_metric


def choose_protocol(folder: FitFolder, display: Display, best: Trial, images: DataSummary, seconds: float) -> str:
    """Choose how the tested model is trained, and record the choice, so that an interrupted test keeps it.

    It is a refit if that takes no longer than `seconds`, or if the search kept no weights of the best trial.
    """
    if (found := folder.step("protocol")) is not None:
        return str(found["protocol"])
    of_epochs = [report.seconds for report in best.reports]
    has_time = time_plan.of_refit(of_epochs, stopping_epoch(best), images.train, images.validation) <= seconds
    protocol = REFIT if has_time or best.state is not State.COMPLETE else CHECKPOINT
    if protocol == REFIT:
        n_images = images.train + images.validation
        display.note(f"the best is trained again on all {n_images:,} images that are not held out")
    else:
        display.note("no time is left to train the best on the validation images too")
    folder.end_step("protocol", 0.0, protocol=protocol)
    return protocol


def test(
    folder: FitFolder, display: Display, winner: StudyFolder, best: Trial, protocol: str, notify: Callable[[str], None]
) -> None:
    """Test the best trial. If it cannot be refitted, the weights of the search are tested, if there are any."""
    try:
        with display.training() as (watch, watch_epoch):
            plan = Plan(1, 1, protocol)
            found = evaluate(winner.folder, plan, watch=watch, watch_epoch=watch_epoch, notify=notify)
        if not found.trials[0].val_loss.is_finite:
            raise HpoError("the training diverged")
    except StudyError:  # such as a study that another process tests
        raise
    except HpoError as error:
        if protocol != REFIT or best.state is not State.COMPLETE:
            raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        display.note(f"training on all images failed, so the weights of the search are tested: {why}")
        folder.end_step("protocol", 0.0, protocol=CHECKPOINT)
        test(folder, display, winner, best, CHECKPOINT, notify)


def interval(winner: StudyFolder, best: Trial) -> str:
    """Return a line about the 95 % interval of the test result of a trial."""
    tested = next(each for each in TestRecord.read(winner).trials if each.trial == best.number)
    return interval_line(tested, image_results.read(winner), searched_metric(winner.space.objective)).strip()
