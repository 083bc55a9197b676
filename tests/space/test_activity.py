from hpo.space.activity import active_with, never_active_problems
from hpo.space.rules import When

NESTED: dict[str, When] = {
    "optimizer": {},
    "schedule": {"optimizer": ("sgd", "nag")},
    "period": {"schedule": ("cosine",), "optimizer": ("nag", "adam")},
}


def test_the_conditions_of_parents_hold_too() -> None:
    assert active_with("period", NESTED) == {"schedule": ("cosine",), "optimizer": ("nag",)}
    assert active_with("optimizer", NESTED) == {}
    assert list(never_active_problems(NESTED)) == []


def test_conditions_that_exclude_each_other_are_named_where_they_first_do() -> None:
    below: dict[str, When] = {
        **NESTED,
        "period": {"schedule": ("cosine",), "optimizer": ("adam",)},
        "lr_min": {"period": (3,)},
    }
    assert list(never_active_problems(below)) == [
        (
            ("space", "period", "when"),
            "is never active: of optimizer, period needs ['adam'] and schedule needs ['sgd', 'nag']",
        )
    ]


def test_conditions_in_a_circle_are_followed_once() -> None:
    circle: dict[str, When] = {"a": {"b": (1,)}, "b": {"a": (1,)}}
    assert active_with("a", circle) == {"b": (1,), "a": (1,)}
