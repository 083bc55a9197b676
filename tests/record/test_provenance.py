"""Which changes of the installed packages are told."""

from __future__ import annotations

from hpo.record import changed_versions, versions
from hpo.record.provenance import ALWAYS_RECORDED, PACKAGES


def test_nothing_changed_since_now() -> None:
    assert changed_versions(versions()) == {}


def test_a_changed_and_a_missing_package_are_named_with_both_versions() -> None:
    now = versions()
    before = {**now, "torch": "1.0", "ray": "2.0"}
    del before["numpy"]
    assert changed_versions(before) == {
        "torch": f"1.0, now {now['torch']}",
        "ray": f"2.0, now {now.get('ray', 'missing')}",
        "numpy": f"missing, now {now['numpy']}",
    }


def test_packages_that_an_earlier_version_did_not_record_count_as_unchanged() -> None:
    now = versions()
    assert changed_versions({name: now[name] for name in ALWAYS_RECORDED if name in now}) == {}
    assert changed_versions({**now, "scikit-learn": "0.1"})["scikit-learn"].startswith("0.1, now ")


def test_all_recorded_packages_are_among_those_that_are_looked_for() -> None:
    assert set(versions()) <= set(PACKAGES)
