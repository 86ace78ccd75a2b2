"""What tests of several rooms need."""

from collections.abc import Callable
from typing import Any

import pytest

from irp_kedro.lineage.record import Provenance


@pytest.fixture(scope="session")
def provenance_of() -> Callable[..., Provenance]:
    """States where snapshots come from: nothing in particular, but for what is named."""

    def state(**named: Any) -> Provenance:
        nothing: dict[str, Any] = {
            "cell": "cell",
            "content": "source",
            "parameters": "0" * 8,
            "source_manifest": "",
            "contamination_record": "",
            "feature_bank": "",
            "code_revision": "",
            "code_changed": None,
            "code": "",
            "device": "cpu",
            "versions": {},
            "run": "first run",
        }
        return Provenance(**nothing | named)

    return state
