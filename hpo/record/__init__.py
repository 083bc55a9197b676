"""The record of a study: its folder, its settings, the ledger of its events, and the history of its trials.

Only this package and `hpo.backends` import optuna. `hpo.heldout`, `hpo.results` and the packages above them may import
this package.
"""

from __future__ import annotations

from hpo.record.files import (
    CONFIDENCE_FILE,
    CONFUSION_FILE,
    DATA_FILE,
    FIGURES,
    MISCLASSIFIED,
    PER_CLASS_FILE,
    REFITTED,
    RETRAINED,
    SOUP_FILE,
    SOUP_MODEL,
    STUDY_FILE,
    TEST_FILE,
    TEST_IMAGES,
    TESTED_MODEL,
    check_not_empty,
    command,
    find_folder,
    keep_out_of_git,
    write_csv,
    write_text,
)
from hpo.record.history import Decisions, Event, History, Retry, State, Trial, better_report, configuration, shown_state
from hpo.record.identity import check_name, free_name, valid_name
from hpo.record.ledger import Ledger
from hpo.record.lock import is_locked, lock, locked_error
from hpo.record.memory_ledger import AnyLedger, MemoryLedger
from hpo.record.new_study import changed_parts
from hpo.record.provenance import changed_versions, versions
from hpo.record.settings import AUTO_SLOTS, Budget, Settings, Source, check_devices, data_folder
from hpo.record.storage import check_url, open_storage
from hpo.record.storage_url import recorded_url
from hpo.record.study_folder import StudyFolder

__all__ = [
    "AUTO_SLOTS",
    "CONFIDENCE_FILE",
    "CONFUSION_FILE",
    "DATA_FILE",
    "FIGURES",
    "MISCLASSIFIED",
    "PER_CLASS_FILE",
    "REFITTED",
    "RETRAINED",
    "SOUP_FILE",
    "SOUP_MODEL",
    "STUDY_FILE",
    "TESTED_MODEL",
    "TEST_FILE",
    "TEST_IMAGES",
    "AnyLedger",
    "Budget",
    "Decisions",
    "Event",
    "History",
    "Ledger",
    "MemoryLedger",
    "Retry",
    "Settings",
    "Source",
    "State",
    "StudyFolder",
    "Trial",
    "better_report",
    "changed_parts",
    "changed_versions",
    "check_devices",
    "check_name",
    "check_not_empty",
    "check_url",
    "command",
    "configuration",
    "data_folder",
    "find_folder",
    "free_name",
    "is_locked",
    "keep_out_of_git",
    "lock",
    "locked_error",
    "open_storage",
    "recorded_url",
    "shown_state",
    "valid_name",
    "versions",
    "write_csv",
    "write_text",
]
