"""Every kind of mistake in a space file, with how it is named.

A case is a line of the sound file that reads otherwise, by its number, and under it how the one
mistake begins after file and line: its keys, then words that it must hold.
"""

from pathlib import Path

import pytest

from tests.spacefile.spacefiles import mistakes, write

TABLE = """
# unknown keys, at each level
15|objectve: val_loss
 objectve: unknown key; did you mean 'objective'? (allowed: fidelity,
6|  datset: digits
 task.datset: unknown key; did you mean 'dataset'?
7|  validation: {fracton: 0.2}
 task.validation.fracton: unknown key; did you mean 'fraction'?
12|  step_size: {low: 5, high: 30, typ: int}
 space.step_size.typ: did you mean 'type'?
9|  optimizer: {choices: [sgd, nag], log: true}
 space.optimizer.log: unknown key (allowed: choices
14|fidelity: {high: 27, etta: 3}
 fidelity.etta: unknown key; did you mean 'eta'?

# data sets and validation
6|  dataset: 3
 task.dataset: must be a name, or hold the key `name` beside options; is 3
6|  dataset: {domain: cartoon}
 task.dataset.name: must be a name, but is null
6|  dataset: {name: [pacs]}
 task.dataset.name: must be a name, but is ['pacs']
6|  dataset: {name: pacs, domian: cartoon}
 task.dataset.domian: data set 'pacs' has no such option; did you mean 'domain'? (allowed: domain, variant)
6|  dataset: {name: pacs, domain: carton}
 task.dataset.domain: 'carton' is unknown; did you mean 'cartoon'?
6|  dataset: {name: pacs, domain: [cartoon]}
 task.dataset.domain: must be a single value, but is ['cartoon']
6|  dataset: {name: digits, 3: 4}
 task.dataset: the key 3 must be a name
6|  dataset: {name: digits, merged_classes: [low, high]}
 task.dataset.merged_classes: must name two classes or more, as {small: [cat, dog], large: [horse]}; is ['low', 'high']
6|  dataset: {name: digits, groups: {low: ['1'], high: ['9']}}
 task.dataset.groups: must be a single value, but is {low: ['1'], high: ['9']}; classes are joined by `merged_classes`
6|  dataset: {name: digits, merged_classes: false}
 task.dataset.merged_classes: must name two classes or more
6|  dataset: {name: digits, merged_classes: {low: ['1']}}
 task.dataset.merged_classes: must name two classes or more
6|  dataset: {name: digits, merged_classes: {low: ['1'], high: '9'}}
 task.dataset.merged_classes.high: must be a list of names of classes, but is '9'
6|  dataset: {name: digits, merged_classes: {low: ['1'], high: []}}
 task.dataset.merged_classes.high: must be a list of names of classes, but is []
6|  dataset: {name: digits, merged_classes: {low: [1], high: ['9']}}
 task.dataset.merged_classes.low: must be a list of names of classes, but is [1]
6|  dataset: {name: digits, merged_classes: {1: ['1'], low: ['0'], high: ['9']}}
 task.dataset.merged_classes: the key 1 must be a name
6|  pretraining: digits
 task.pretraining: the regime from_scratch trains on no other data set first (one that does: pretrain_then_head)
7|  validation: {fraction: 0.2, folds: 3}
 task.validation.fraction: stands beside `folds`; validation is a fraction or folds
7|  validation: {folds: 1}
 task.validation.folds: must be a whole number of at least 2, but is 1
7|  validation: {folds: 2.5}
 task.validation.folds: must be a whole number of at least 2, but is 2.5
11|  momentum: {low: 0, high: 0.9, when: {dataset: [digits]}}
 space.momentum.when.dataset: dataset is not searched, but always 'digits'
1|reference: caltech101_alexnet_finetune
 reference: no published table 'caltech101_alexnet_finetune'; did you mean 'caltech101_alexnet_fine_tune'?

# the wrong type
13|fixed: [patience]
 fixed: must hold keys and their values, but is ['patience']
14|fidelity: 27
 fidelity: must hold keys and their values, but is 27
7|  validation: 0.2
 task.validation: must hold keys and their values, but is 0.2
4|  regime: 3
 task.regime: must be a name, but is 3
12|  step_size: 5
 space.step_size: must be {low: .., high: ..} or {choices: [..]}, or stand in fixed
12|  step_size: {low: x, high: 9}
 space.step_size.low: must be a number, but is 'x'
12|  step_size: {low: true, high: 9}
 space.step_size.low: must be a number, but is true
12|  step_size: {low: 1, high: 9, log: yes}
 space.step_size.log: true or false, but is 'yes'
12|  step_size: {choices: 5}
 space.step_size.choices: must be a list of at least one value, but is 5
12|  step_size: {choices: []}
 space.step_size.choices: must be a list of at least one value
12|  step_size: {choices: [{a: 1}, 2]}
 space.step_size.choices: must be a single value, but is {a: 1}
13|fixed: {window: 0}
 fixed.window: must be a whole number of at least 1, but is 0
13|fixed: {patience: [8]}
 fixed.patience: must be a whole number of at least 1, but is [8]
14|fidelity: {high: 2.5}
 fidelity.high: must be a whole number of at least 1, but is 2.5
14|fidelity: {high: true}
 fidelity.high: must be a whole number of at least 1, but is true

# ranges
12|  step_size: {low: 9, high: 5}
 space.step_size.low: 9 is above high=5; low <= high must hold
12|  step_size: {low: 0, high: 5, log: true}
 space.step_size.low: low > 0 must hold with log=true
12|  step_size: {low: 1, high: 5, default: 6}
 space.step_size.default: 6 lies outside the range
12|  step_size: {low: 1}
 space.step_size.high: is missing
12|  step_size: {low: 1, high: .inf}
 space.step_size.high: must be finite, but is inf
12|  step_size: {low: 1, high: 1e999}
 space.step_size.high: must be finite, but is inf
12|  step_size: {low: 1, high: 9.5, type: int}
 space.step_size.high: whole number with type=int
12|  step_size: {low: 1, high: 9, type: integer}
 space.step_size.type: (allowed: float, int)
12|  step_size: {low: 1, high: 9, points: 0}
 space.step_size.points: at least 1, but is 0
14|fidelity: {low: 9, high: 3}
 fidelity.low: 9 is above high=3; low <= high must hold

# choices
9|  optimizer: {choices: [sgd, nag, sgd]}
 space.optimizer.choices: 'sgd' stands in it twice
9|  optimizer: {choices: [sgd, nag], default: adam}
 space.optimizer.default: 'adam' is no choice
12|  step_size: {choices: [1, .nan]}
 space.step_size.choices: must be finite, but is nan
12|  step_size: {low: 1, high: 9, choices: [1]}
 space.step_size: but has both
12|  step_size: {type: int}
 space.step_size: needs either `low` and `high` or `choices`, but has neither

# priors
10|  lr: {low: 1e-4, high: 1e-1, log: true, prior: {centre: 1, width: 3}}
 space.lr.prior.centre: 1 lies outside the range from low=0.0001 to high=0.1
10|  lr: {low: 1e-4, high: 1e-1, log: true, prior: {centre: 1e-3, width: 0.5}}
 space.lr.prior.width: must be above 1, because it is a factor with log=true, but is 0.5
10|  lr: {low: 1e-4, high: 1e-1, prior: {centre: 1e-3, width: -1}}
 space.lr.prior.width: must be above 0, but is -1
10|  lr: {low: 1e-4, high: 1e-1, prior: {center: 1e-3, centre: 1e-3, width: 1}}
 space.lr.prior.center: unknown key; did you mean 'centre'? (allowed: centre, width)
10|  lr: {low: 1e-4, high: 1e-1, prior: {centre: 1e-3}}
 space.lr.prior.width: is missing
10|  lr: {low: 1e-4, high: 1e-1, prior: 1e-3}
 space.lr.prior: must hold a centre and a width, as {centre: 0.01, width: 3}, but is 0.001
10|  lr: {low: 1e-4, high: 1e-1, prior: {}}
 space.lr.prior: must hold a centre and a width, as {centre: 0.01, width: 3}, but is empty; leave the key out for no
9|  optimizer: {choices: [sgd, nag, adam], prior: {}}
 space.optimizer.prior: must give weights to choices, as {adamw: 3, sgd: 1}, but is empty; leave the key out for no
10|  lr: {prior: {centre: 1e-3, width: 3}}
 space.lr: needs either `low` and `high` or `choices`, but has neither
9|  optimizer: {choices: [sgd, nag, adam], prior: {sdg: 3}}
 space.optimizer.prior.sdg: 'sdg' is no choice; did you mean 'sgd'? (allowed: adam, nag, sgd)
9|  optimizer: {choices: [sgd, nag, adam], prior: {sgd: 0}}
 space.optimizer.prior.sgd: must be a weight above 0, but is 0
9|  optimizer: {choices: [sgd, nag, adam], prior: {sgd: .inf}}
 space.optimizer.prior.sgd: must be a weight above 0, but is inf
9|  optimizer: {choices: [sgd, nag, adam], prior: sgd}
 space.optimizer.prior: must give weights to choices, as {adamw: 3, sgd: 1}, but is 'sgd'
12|  step_size: {choices: [5, 10], prior: {6: 3}}
 space.step_size.prior.6: '6' is no choice (allowed: 10, 5)
12|  step_size: {choices: [5, 10], prior: {5: 3, '5': 2}}
 space.step_size.prior.5: stands in line 12 already; a key may stand only once
12|  step_size: {low: 5, high: 10, prior: {5: 3, centre: 6, width: 1}}
 space.step_size.prior.5: unknown key (allowed: centre, width)
13|fixed: {patience: 8, gamma: {prior: {centre: 0.5, width: 1}}}
 fixed.gamma: a hyperparameter with a prior is searched, and stands in `space`

# conditions
11|  momentum: {low: 0, high: 0.9, when: {optimzer: [sgd]}}
 space.momentum.when.optimzer: did you mean 'optimizer'? (allowed: optimizer)
11|  momentum: {low: 0, high: 0.9, when: {lr: [0.1]}}
 space.momentum.when.lr: lr is a range
11|  momentum: {low: 0, high: 0.9, when: {optimizer: [sdg]}}
 space.momentum.when.optimizer: 'sdg' is no choice of optimizer; did you mean 'sgd'?
11|  momentum: {low: 0, high: 0.9, when: {optimizer: sgd}}
 space.momentum.when.optimizer: must be a list
11|  momentum: {low: 0, high: 0.9, when: sgd}
 space.momentum.when: must name parents and their values
11|  momentum: {low: 0, high: 0.9, when: {model: [alexnet]}}
 space.momentum.when.model: model is not searched, but always 'small_cnn'
11|  momentum: {low: 0, high: 0.9, when: {patience: [8]}}
 space.momentum.when.patience: patience is not searched, but always 8
9|  optimizer: {choices: [sgd, nag], when: {optimizer: [sgd]}}
 space.optimizer.when: goes round in a circle: optimizer -> optimizer

# between the sections
13|fixed: {lr: 0.1}
 fixed.lr: is searched too
15|objective: val_los
 objective: 'val_los' is unknown; did you mean 'val_loss'?
15|objective: no_costs:cost
 objective: no_costs:cost: there is no module no_costs, and no file no_costs.py in
15|objective: math.costs:cost
 objective: math.costs:cost: there is no module math.costs (allowed: none); install it
15|objective: logging:error
 objective: 'logging:error': its metric would be called val_error, which is another one
12|  model: {choices: [small_cnn]}
 space.model: must stand under task.model, as a list of names
5|  model: [small_cnn, small_cnn]
 task.model: 'small_cnn' stands in it twice
5|  model: [small_cnn, 3]
 task.model: must hold names, but holds 3
5|  model: []
 task.model: must be a list of at least one value

# plug-ins, and what they read
4|  regime: from_scrach
 task.regime: unknown regime 'from_scrach'; did you mean 'from_scratch'?
5|  model: [small_cn]
 task.model: unknown model 'small_cn'; did you mean 'small_cnn'?
6|  dataset: digit
 task.dataset: unknown dataset 'digit'; did you mean 'digits'?
6|  weights: imagnet
 task.weights: there is no file 'imagnet'; did you mean 'imagenet'?
12|  stepsize: {low: 5, high: 30}
 space.stepsize: nothing that this task names reads it; did you mean 'step_size'?
13|fixed: {patence: 8}
 fixed.patence: nothing that this task names reads it; did you mean 'patience'?
13|fixed: {seed: 8}
 fixed.seed: is no hyperparameter; `hpo search --seed` seeds the search, and `task.validation.seed` the split
9|  optimizer: {choices: [sgd, nag, adm]}
 space.optimizer: 'adm' is unknown; did you mean 'adam'?

# the form of YAML
12|  lr: {low: 1, high: 2}
 space.lr: stands in line 10 already; a key may stand only once
13|fixed: {patience: 8, 1: 2}
 fixed: the key 1 must be a name
13|fixed: {patience: !!python/name:os.system x}
 fixed.patience: the tag !!python/name:os.system is not known
13|fixed: {patience: !!int x}
 fixed.patience: 'x' is no !!int
"""
CASES = [case for case in TABLE.splitlines() if case and not case.startswith("#")]


@pytest.mark.parametrize(("changed", "expected"), list(zip(CASES[::2], CASES[1::2], strict=True)))
def test_a_mistake_is_one_line_with_file_line_keys_and_what_is_allowed(
    tmp_path: Path, changed: str, expected: str
) -> None:
    number, text = changed.split("|")
    keys, words = expected.strip().split(": ", 1)
    path = write(tmp_path, {int(number): text})
    (mistake,) = mistakes(path)
    assert mistake.startswith(f"{path}:{number}: {keys}: ")
    assert words in mistake
    assert mistake.isprintable()
    assert len(mistake.removeprefix(str(path)).replace(str(tmp_path), "")) < 300


def test_a_number_too_long_for_python_is_a_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, {12: f"  step_size: {{low: 1, high: {'9' * 5000}}}"})
    assert mistakes(path) == [f"{path}:12: space.step_size.high: must be finite, but is inf"]
