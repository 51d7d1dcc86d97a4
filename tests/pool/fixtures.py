"""The fixture `pool`: a real HTCondor pool, shared by all test processes."""

from __future__ import annotations

import os

import pytest

from tests.parts import equipment
from tests.pool.errors import PoolError
from tests.pool.pool import Pool, locate


@pytest.fixture(scope="session")
def pool() -> Pool:
    """Return a pool that answers; without one, skip, or fail where HTRUN_TEST_REQUIRE_POOL is 1."""
    equipment.prepare()
    try:
        return locate()
    except PoolError as error:
        if os.environ.get("HTRUN_TEST_REQUIRE_POOL") == "1":
            pytest.fail(f"no HTCondor pool: {error}", pytrace=False)
        pytest.skip(f"no HTCondor pool: {error}")
