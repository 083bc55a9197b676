"""The store that all processes share, which environment variables name."""

from pathlib import Path

import pytest

from trainables.store import store as stores


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))
    monkeypatch.setenv("HPO_CACHE_GB", "0.5")
    store = stores.shared()
    assert store is not None
    assert (store.folder, store.limit_bytes) == (tmp_path, 2**29)
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("HPO_CACHE_GB", wrong)
        with pytest.raises(ValueError, match=f"HPO_CACHE_GB must be a number of at least 0, but is '{wrong}'"):
            stores.shared()
    monkeypatch.setenv("HPO_CACHE_GB", "1")
    monkeypatch.setenv("HPO_CACHE", "~nobody_of_this_name/store")
    with pytest.raises(ValueError, match="HPO_CACHE: ~nobody_of_this_name/store"):
        stores.shared()
    for off in ("off", "OFF", "0", "no"):
        monkeypatch.setenv("HPO_CACHE", off)
        assert stores.shared() is None
