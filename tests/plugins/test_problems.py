import re
from dataclasses import replace

import pytest

from hpo import plugins
from hpo.plugins import foreign_names
from hpo.space import Categorical, DatasetSpec, Domain, Fidelity, Float, Int, SearchSpace, Task

SMALL = Task(regime="from_scratch", model="small_cnn", dataset=DatasetSpec("digits"))


def space(task: Task, fixed: dict[str, int | str] | None = None, **domains: Domain) -> SearchSpace:
    return SearchSpace("s", domains or {"lr": Float(0.1, 1)}, Fidelity(27), task, fixed or {})


def test_the_epoch_loop_declares_what_it_reads() -> None:
    read = set(plugins.hyperparameters(plugins.WORKER) or {})
    decoding = {"tolerate_truncated", "exif_orientation", "background", "max_pixels", "max_text_bytes"}
    loading = {"image_size", "resize", "skip_unreadable", "normalization"}
    assert read == {"patience", "threshold", "window", "oom"} | loading | decoding


def test_what_a_regime_a_model_and_the_epoch_loop_read_is_all_read() -> None:
    fixed: dict[str, int | str] = {"patience": 5, "width": 8}
    assert plugins.problem_lines(space(SMALL, fixed, lr=Float(0.1, 1), optimizer=Categorical(("sgd", "adam")))) == []


def test_a_hyperparameter_that_nothing_reads_is_named_with_the_nearest() -> None:
    searched, fixed = plugins.problem_lines(space(SMALL, {"patince": 5}, momentm=Float(0, 1)))
    assert searched.startswith("space.momentm: nothing that this task names reads it; did you mean 'momentum'?")
    assert fixed.startswith("fixed.patince: nothing that this task names reads it; did you mean 'patience'?")


def test_any_name_may_follow_the_prefix_of_a_declared_family() -> None:
    found = plugins.problem_lines(space(SMALL, optimizer=Categorical(("timm:lion", "timm:", "time:lion", "lion"))))
    assert [line.partition(" is unknown")[0] for line in found] == [
        "space.optimizer: 'timm:'",
        "space.optimizer: 'time:lion'",
        "space.optimizer: 'lion'",
    ]


def test_a_value_that_is_not_among_those_declared_is_named_with_the_nearest() -> None:
    found = plugins.problem_lines(space(SMALL, {"schedule": "stp"}, optimizer=Categorical(("sgd", "adm", "agd"))))
    assert [line.partition(";")[0] for line in found] == [
        "space.optimizer: 'adm' is unknown",
        "space.optimizer: 'agd' is unknown",
        "fixed.schedule: 'stp' is unknown",
    ]
    assert "did you mean 'adam'? (allowed: adam, adamw, nag, sgd, timm:NAME)" in found[0]


def test_values_that_are_no_text_are_named_as_a_space_file_writes_them() -> None:
    background, skip = plugins.problem_lines(space(SMALL, {"background": "red", "skip_unreadable": "maybe"}))
    assert background == "fixed.background: 'red' is unknown (allowed: black, null, white)"
    assert skip == "fixed.skip_unreadable: 'maybe' is unknown (allowed: false, true)"


def test_a_range_where_one_of_a_few_values_is_read_is_a_mistake() -> None:
    (found,) = plugins.problem_lines(space(SMALL, optimizer=Float(0, 1)))
    assert found.startswith(
        "space.optimizer: must be choices out of ['adamw', 'adam', 'sgd', 'nag', 'timm:NAME'], but is a range"
    )


def test_a_searched_model_is_checked_name_by_name_and_what_any_of_them_reads_is_read() -> None:
    task, models = Task(regime="from_scratch"), Categorical(("softmax_regression", "small_cnn"))
    assert plugins.problem_lines(space(task, model=models, width=Int(1, 2))) == []
    (found,) = plugins.problem_lines(space(task, model=Categorical(("softmax_regression",)), width=Int(1, 2)))
    assert found == (
        "space.width: the model softmax_regression has no `width`: channels of the first stage; models that have it: "
        "small_cnn"
    )
    (found,) = plugins.problem_lines(space(task, model=Categorical(("small_cnn", "smal_cnn"))))
    assert found.startswith("task.model: unknown model 'smal_cnn'; did you mean 'small_cnn'?")


def test_each_unknown_plug_in_of_the_task_is_named() -> None:
    found = plugins.problem_lines(
        space(Task(regime="a", model="b", dataset=DatasetSpec("c"), pretraining=DatasetSpec("d")))
    )
    assert {line.partition(" (")[0] for line in found} == {
        "task.regime: unknown regime 'a'",
        "task.model: unknown model 'b'",
        "task.dataset: unknown dataset 'c'",
        "task.pretraining: unknown dataset 'd'",
    }


def test_what_only_one_of_the_searched_regimes_reads_is_read() -> None:
    regimes = Categorical(("from_scratch", "probe_then_fine_tune"))
    task = Task(model="small_cnn", dataset=DatasetSpec("digits"))
    assert plugins.problem_lines(space(task, regime=regimes, probe_epochs=Int(1, 3))) == []
    (found,) = plugins.problem_lines(space(replace(task, regime="from_scratch"), probe_epochs=Int(1, 3)))
    assert found.startswith("space.probe_epochs: the regime from_scratch has no `probe_epochs`: ")
    assert found.endswith("; regimes that have it: probe_then_fine_tune")


LISTED = "`hpo describe regime from_scratch` and `hpo describe model small_cnn` list all"


def test_of_many_hyperparameters_only_the_nearest_are_told_and_the_commands_that_list_all() -> None:
    (found,) = plugins.problem_lines(space(SMALL, xyzzyx=Float(0, 1)))
    assert found.endswith(f"; {LISTED})")
    told = found.partition("(allowed: ")[2].partition(";")[0].split(", ")
    assert told[:-1] == sorted(told[:-1])
    assert 5 < len(told) < 20
    assert re.fullmatch(r"and [0-9]+ others", told[-1])


FOREIGN = {
    "learning_rate": f"did you mean 'lr'? ({LISTED})",
    "batchSize": f"did you mean 'batch_size'? ({LISTED})",
    "wd": f"did you mean 'weight_decay'? ({LISTED})",
    "lr_scheduler": f"did you mean 'schedule'? ({LISTED})",
    "momentm": f"did you mean 'momentum'? ({LISTED})",
    "num_epochs": "a trial trains for at most `fidelity: {high: N}` epochs",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_name_of_another_framework_is_told_the_one_of_hpo(name: str) -> None:
    (found,) = plugins.problem_lines(space(SMALL, None, **{name: Float(0, 1)}))
    assert found == f"space.{name}: nothing that this task names reads it; {FOREIGN[name]}"


def test_every_foreign_name_leads_to_a_hyperparameter() -> None:
    regime = plugins.hyperparameters("trainables.regimes.from_scratch") or {}
    known = {*regime, *(plugins.hyperparameters(plugins.WORKER) or {})}
    for own, names in foreign_names.FOREIGN.items():
        assert own in known
        assert not known & set(names)
        assert {foreign_names.own_name(name) for name in names} == {own}


def test_an_option_that_a_data_set_does_not_declare_or_allow_is_named_with_the_nearest() -> None:
    data = DatasetSpec("pacs", {"domian": "cartoon", "variant": "ful"})
    task = replace(SMALL, regime="pretrain_then_head", dataset=data, pretraining=data)
    first, second = plugins.problem_lines(space(task))[:2]
    assert first == (
        "task.dataset.domian: data set 'pacs' has no such option; did you mean 'domain'? (allowed: domain, variant)"
    )
    assert second.startswith("task.dataset.variant: 'ful' is unknown; did you mean 'full'? (allowed: ")
    assert len(plugins.problem_lines(space(task))) == 4


def test_a_data_set_to_train_on_first_that_no_regime_trains_on_is_a_mistake() -> None:
    task = replace(SMALL, pretraining=DatasetSpec("digits"))
    (found,) = plugins.problem_lines(space(task))
    assert found.startswith("task.pretraining: the regime from_scratch trains on no other data set first")
    assert found.endswith(" (one that does: pretrain_then_head)")
    (found,) = plugins.problem_lines(
        space(replace(task, regime=None), regime=Categorical(("fine_tune", "linear_probe")))
    )
    assert "none of the regimes fine_tune, linear_probe trains on another data set first" in found


def test_a_data_set_to_train_on_first_may_be_named_where_one_regime_trains_on_it_or_nobody_knows() -> None:
    task = replace(SMALL, regime=None, pretraining=DatasetSpec("digits"))
    assert plugins.problem_lines(space(task, regime=Categorical(("fine_tune", "pretrain_then_head")))) == []
    assert plugins.problem_lines(space(task)) == []  # a trainable given in Python
    assert plugins.problem_lines(space(replace(task, regime="tests.toy"))) == []  # which declares nothing


def test_an_option_of_a_data_set_without_options_is_named() -> None:
    (found,) = plugins.problem_lines(space(replace(SMALL, dataset=DatasetSpec("digits", {"size": 8}))))
    assert found == "task.dataset.size: data set 'digits' has no such option (allowed: none)"


def test_an_option_that_may_be_anything_is_taken_as_it_is() -> None:
    data = DatasetSpec("image_folder", {"folder": "flowers", "held_out": 0.3, "seed": 4})
    assert plugins.problem_lines(space(replace(SMALL, dataset=data))) == []


def test_a_trainable_given_in_python_may_read_anything() -> None:
    assert plugins.problem_lines(space(Task(), {"anything": 1})) == []
