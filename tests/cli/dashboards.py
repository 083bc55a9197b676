"""Dashboards as processes of their own, what they answer, and a browser that shows them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cli.commands import ROOT

SECONDS = 240
"""How long to wait for a page."""
WRITING = (
    '[aria-label="delete study"], [aria-label="rename study"], [data-testid="EditIcon"], textarea, '
    '[data-testid="DeleteIcon"], a[href$="/note"], a[href$="/dashboard/"]'
)
"""A CSS selector of what writes into a study, or leads away from it."""


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The dashboard of the study `s`, as its address and its process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hpo.cli", "dashboard", "s", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=60)
        finally:
            server.kill()


def get(url: str, server: subprocess.Popen[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The JSON that a dashboard answers. Waits until the dashboard has started."""
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                content: dict[str, list[dict[str, object]]] = json.load(answer)
                return content
        except OSError:
            assert server.poll() is None
            time.sleep(0.2)
    raise AssertionError("the dashboard did not answer")


class Browser:
    """A chromium without a window."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        self._driver.get(url)

    @property
    def address(self) -> str:
        """The address of the page that is shown."""
        return str(self._driver.current_url)

    def wait_for_element(self, selector: str) -> None:
        """Wait until an element with a CSS selector is shown."""
        self._wait(lambda: any(each.is_displayed() for each in self._find(selector)), selector)

    def wait_for_text(self, text: str) -> str:
        """Wait until the page shows a text, and return all text that it shows."""
        self._wait(lambda: text in self._find("body")[0].text, text)
        return str(self._find("body")[0].text)

    def writing_controls(self) -> list[str]:
        """The HTML of everything on the page that is shown and would write."""
        return [each.get_attribute("outerHTML") for each in self._find(WRITING) if each.is_displayed()]

    def request(self, method: str, url: str) -> int:
        """Send a request as the code of the page would, and return its status."""
        script = "fetch(arguments[0], {method: arguments[1]}).then(answer => arguments[2](answer.status))"
        return int(self._driver.execute_async_script(script, url, method))

    def _find(self, selector: str) -> list[Any]:
        found: list[Any] = self._driver.find_elements("css selector", selector)
        return found

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(StaleElementReferenceException):
                if holds():
                    return
            time.sleep(0.1)
        raise AssertionError(f"the page does not show {what!r}: {self._find('body')[0].text}")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A chromium that is closed at the end."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
