"""Fixtures that all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# By default an example that takes 200 ms fails, as it may on a busy machine.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory):
    """What commands compile in processes of their own stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("compiled")
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real pairs, a trained model and golden values beside the repo."""
    if not (SHARED / "spec" / "golden").is_dir():
        pytest.skip(f"needs the data folder {SHARED}, which is not there")
    return SHARED
