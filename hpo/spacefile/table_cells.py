"""The values of hyperparameters in the cells of a table, such as a CSV file that `hpo export` writes."""

from __future__ import annotations

from hpo.space import Categorical, Domain
from hpo.space.values import list_as_text, with_tuples
from hpo.spacefile import yaml_text
from hpo.trial import Value


def cell_value(domain: Domain, text: str) -> Value:
    """The value that a cell of a table stands for. Text that is no value of the domain is returned as YAML reads it."""
    parsed = yaml_text.parse_value(text)
    value: Value = text if parsed.mistakes else with_tuples(parsed.value)
    if isinstance(domain, Categorical) and not domain.contains(value):
        return next((choice for choice in domain.choices if text == str(list_as_text(choice))), value)
    return value
