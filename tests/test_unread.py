from hpo import plugins
from hpo.space import Categorical, Domain, Fidelity, Float, SearchSpace, Task

SMALL = Task(regime="from_scratch", model="small_cnn", dataset="digits")


def space(task: Task, fixed: dict[str, int | str] | None = None, **domains: Domain) -> SearchSpace:
    return SearchSpace("s", domains or {"lr": Float(0, 1)}, Fidelity(9), task, fixed or {})


def test_the_epoch_loop_declares_what_it_reads() -> None:
    assert set(plugins.hyperparameters(plugins.WORKER) or {}) == {"patience", "threshold"}


def test_what_a_regime_a_model_and_the_epoch_loop_read_is_all_read() -> None:
    fixed: dict[str, int | str] = {"patience": 5, "width": 8}
    assert plugins.unread(space(SMALL, fixed, lr=Float(0, 1), optimizer=Categorical(("sgd", "adam")))) == []


def test_a_hyperparameter_that_nothing_reads_is_named_with_the_nearest() -> None:
    searched, fixed = plugins.unread(space(SMALL, {"patince": 5}, momentm=Float(0, 1)))
    assert searched.startswith("space.momentm: nothing that this task names reads it; did you mean 'momentum'?")
    assert fixed.startswith("fixed.patince: nothing that this task names reads it; did you mean 'patience'?")


def test_a_value_that_is_not_among_those_declared_is_named_with_the_nearest() -> None:
    found = plugins.unread(space(SMALL, {"schedule": "stp"}, optimizer=Categorical(("sgd", "adm", "agd"))))
    assert [line.partition(";")[0] for line in found] == [
        "space.optimizer: 'adm' is unknown",
        "space.optimizer: 'agd' is unknown",
        "fixed.schedule: 'stp' is unknown",
    ]
    assert "did you mean 'adam'? (allowed: adam, adamw, nag, sgd)" in found[0]


def test_a_range_where_one_of_a_few_values_is_read_is_a_mistake() -> None:
    (found,) = plugins.unread(space(SMALL, optimizer=Float(0, 1)))
    assert found.startswith("space.optimizer: must be choices out of ['sgd', 'nag', 'adam', 'adamw'], but is a range")


def test_a_searched_model_is_checked_name_by_name_and_what_any_of_them_reads_is_read() -> None:
    task, models = Task(regime="from_scratch"), Categorical(("softmax_regression", "small_cnn"))
    assert plugins.unread(space(task, model=models, width=Float(0, 1))) == []
    (found,) = plugins.unread(space(task, model=Categorical(("softmax_regression",)), width=Float(0, 1)))
    assert found.startswith("space.width: nothing that this task names reads it")
    (found,) = plugins.unread(space(task, model=Categorical(("small_cnn", "smal_cnn"))))
    assert found.startswith("task.model: unknown model 'smal_cnn'; did you mean 'small_cnn'?")


def test_each_unknown_plug_in_of_the_task_is_named() -> None:
    found = plugins.unread(space(Task(regime="a", model="b", dataset="c")))
    assert [line.partition(" (")[0] for line in found] == [
        "task.regime: unknown regime 'a'",
        "task.model: unknown model 'b'",
        "task.dataset: unknown dataset 'c'",
    ]


def test_a_trainable_given_in_python_may_read_anything() -> None:
    assert plugins.unread(space(Task(), {"anything": 1})) == []
