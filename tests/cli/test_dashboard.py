"""The dashboard: what it shows, what it refuses, and what a browser makes of it."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.record import StudyFolder
from hpo.record.dashboard_view import open_view
from tests.cli.commands import Hpo
from tests.cli.dashboards import browser, dashboard, get


def attributes_of(trial: dict[str, Any]) -> dict[str, str]:
    """The user attributes that the dashboard shows of a trial."""
    return {each["key"]: each["value"] for each in trial["user_attrs"]}


def trials_in(address: str, server: Any) -> list[dict[str, Any]]:
    """The trials that the dashboard shows of its only study."""
    (study,) = get(f"{address}/api/studies", server)["study_summaries"]
    return get(f"{address}/api/studies/{study['study_id']}?after=0", server)["trials"]


@pytest.mark.slow
def test_the_dashboard_shows_the_trials_of_the_study(searched: Hpo, tmp_path: Path) -> None:
    with dashboard(tmp_path) as (address, server):
        trials = trials_in(address, server)
    assert [trial["number"] for trial in trials] == list(range(10))
    assert {trial["state"] for trial in trials} == {"Complete", "Pruned"}
    assert all(trial["values"] and trial["intermediate_values"] for trial in trials)
    table = pd.read_csv(io.StringIO(searched("export", "s", "--format", "csv").output)).set_index("trial")
    for trial in trials:
        shown, row = attributes_of(trial), table.loc[trial["number"]]
        names = ["val_loss", "val_accuracy", "stopping_epoch", "epochs", "seconds"]
        assert [float(shown[name]) for name in names] == pytest.approx([row[name] for name in names], abs=1e-3)
        assert shown["state"] == row["state"]


@pytest.mark.slow
def test_the_attributes_of_a_trial_are_readable_and_hold_no_events(searched: Hpo, tmp_path: Path) -> None:
    with dashboard(tmp_path) as (address, server):
        trials = trials_in(address, server)
    for trial in trials:
        for key, value in attributes_of(trial).items():
            assert ":" not in key
            assert "{" not in value


@pytest.mark.slow
def test_after_a_resume_the_trials_keep_their_numbers_and_each_is_there_once(searched: Hpo, tmp_path: Path) -> None:
    assert searched("search", "--space", "toy.yaml", "--backend", "asha", "--trials", 9, "--study", "t").exit_code == 0
    assert searched("resume", "s", "--trials", 25).exit_code == 0
    table = pd.read_csv(io.StringIO(searched("export", "s", "--format", "csv").output))
    copies = open_view(StudyFolder.reopen(tmp_path / "studies" / "s"))._storage.get_all_trials(0)
    assert len(copies) > len(table)  # a trial that was promoted later has two Optuna trials
    with dashboard(tmp_path) as (address, server):
        trials = trials_in(address, server)
    assert [trial["number"] for trial in trials] == sorted(table["trial"])
    epochs = table.set_index("trial")["epochs"]
    assert {trial["number"]: len(trial["intermediate_values"]) for trial in trials} == dict(epochs)


def write_routes(study: Path) -> Iterator[tuple[str, str]]:
    """Every route of optuna-dashboard that is no plain request for something, as its method and a path."""
    from optuna_dashboard import wsgi

    for route in wsgi(open_view(StudyFolder.reopen(study))).routes:
        if route.method not in ("GET", "HEAD"):
            yield route.method, re.sub("<[^>]*>", "0", route.rule)


BODY = {
    "study_name": "x",
    "directions": ["minimize"],
    "state": "Fail",
    "user_attrs": {"a": 1},
    "version": 1,
    "body": "",
}


@pytest.mark.slow
def test_the_dashboard_refuses_every_request_that_would_write(searched: Hpo, tmp_path: Path) -> None:
    ledger = tmp_path / "studies" / "s" / "ledger.log"
    before = ledger.read_bytes()
    ledger.chmod(0o444)
    routes = list(write_routes(tmp_path / "studies" / "s"))
    assert len(routes) >= 15
    others = [(method, "/api/studies/0") for method in ("PATCH", "delete", "Post", "OPTIONS", "TRACE", "PROPFIND")]
    with dashboard(tmp_path) as (address, server):
        get(f"{address}/api/studies", server)
        for method, path in [*routes, *others]:
            request = urllib.request.Request(address + path, json.dumps(BODY).encode(), method=method)
            request.add_header("Content-Type", "application/json")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert refused.value.code == 403, (method, path)
            assert "nothing in it can be changed or deleted" in json.load(refused.value)["reason"]
    assert ledger.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "/", "/dashboard", "/dashboard/", "/dashboard/studies/0"])
def test_the_first_page_is_that_of_the_study_and_hides_what_would_write(
    searched: Hpo, tmp_path: Path, path: str
) -> None:
    with dashboard(tmp_path) as (address, server):
        get(f"{address}/api/studies", server)
        with urllib.request.urlopen(address + path, timeout=60) as page:
            assert page.url == f"{address}/dashboard/studies/0"
            assert '[aria-label="delete study"]{display:none!important}' in page.read().decode()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="chromium and its driver are not installed")
def test_a_browser_opens_at_the_study_and_offers_nothing_that_writes(searched: Hpo, tmp_path: Path) -> None:
    assert searched("resume", "s", "--trials", 14).exit_code == 0
    ledger = tmp_path / "studies" / "s" / "ledger.log"
    before = ledger.read_bytes()
    with dashboard(tmp_path) as (address, server), browser() as chromium:
        get(f"{address}/api/studies", server)
        chromium.open(f"{address}/")
        chromium.wait_for_text("Best Trial")
        assert chromium.address == f"{address}/dashboard/studies/0"
        assert chromium.writing_controls() == []
        chromium.open(f"{address}/dashboard/studies/0/trials?numbers=13")
        chromium.wait_for_text("14 Trials")
        text = chromium.wait_for_text("Trial 13 (trial_id=13)")
        assert "val_accuracy" in text
        assert "report:" not in text
        assert chromium.writing_controls() == []
        chromium.open(f"{address}/dashboard/studies/0/note")
        chromium.wait_for_element("header")
        assert chromium.writing_controls() == []
        status = chromium.request("DELETE", f"{address}/api/studies/0")
        assert status == 403
    assert ledger.read_bytes() == before


def test_a_port_that_is_taken_is_named(searched: Hpo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = searched("dashboard", "s", "--port", port)
    assert result.exit_code == 2
    assert f"--port {port}: cannot be served on" in result.output
