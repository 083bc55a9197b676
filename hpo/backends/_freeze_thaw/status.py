"""What a freeze-thaw search believes of early epochs, in one line, from the events of its record."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.backends._freeze_thaw import long_runs, steps
from hpo.backends._freeze_thaw.decision import trusted_epoch
from hpo.backends._freeze_thaw.trials import Trials
from hpo.space import SearchSpace
from hpo.space.encoding import Encoding
from hpo.trial import Crash, Report, Suggestion


def line(space: SearchSpace, events: Sequence[Suggestion | Report | Crash]) -> str:
    """Say which epochs a search with these events uses, and what its long runs show."""
    trials = trials_of(space, events)
    belief, late = long_runs.belief(trials), steps.late_epoch(trials)
    trusted = trusted_epoch(trials, belief)
    if trials.rungs[0] >= late:
        return f"all epochs are used: trials train at least {trials.rungs[0]} of {trials.high} epochs"
    share = f"{100 * belief.concordance:.0f} % of pairs as later ones do ({belief.n_runs} long runs)"
    if belief.n_runs < 2 and not trusted:
        return "early epochs are used, and not checked yet: fewer than two long runs have begun"
    if belief.n_runs < 2:
        why = "fewer than two long runs have begun"
    elif belief.first_epoch >= late:
        why = f"no earlier epoch orders pairs as epoch {late} does ({belief.n_runs} long runs)"
    else:
        why = f"epoch {belief.first_epoch or trials.rungs[0]} is believed to order {share}"
    if trusted > belief.first_epoch:
        return f"epochs before {trusted} show noise only and are ignored; {why}"
    return f"epochs before {trusted} mislead and are ignored: {why}" if trusted else f"early epochs are used: {why}"


def trials_of(space: SearchSpace, events: Sequence[Suggestion | Report | Crash]) -> Trials:
    """The trials of a search with these events."""
    encoding, trials = Encoding(space), Trials(space.fidelity.high, steps.rungs(space.fidelity), space.metric)
    for event in events:
        if isinstance(event, Report):
            trials.report(event)
        elif isinstance(event, Crash):
            trials.crash(event.trial)
        else:
            if event.trial == len(trials):
                trials.add(event.config, encoding.encode(event.config))
            trials.start(event.trial, event.until, str(event.notes.get("reason", "")))
    return trials
