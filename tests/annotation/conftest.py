"""A store in each of the databases."""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from comask.annotation.store import Store
from tests.annotation import postgresql


@pytest.fixture(scope="session")
def server(postgresql_programs: Path) -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        postgresql.served(postgresql_programs, Path(folder)) as url,
    ):
        yield url


@pytest.fixture
def database(server: str) -> str:
    """Make a schema without tables and give the URL of a database that sees nothing else."""
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{server}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a store that is not there yet, in each of the databases."""
    if request.param == "sqlite":
        return str(tmp_path / "store.sqlite")
    return str(request.getfixturevalue("database"))


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store.open(place) as opened:
        yield opened
