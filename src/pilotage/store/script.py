"""Scripts of many statements, which the usual way of executing one statement with parameters does not take."""

from __future__ import annotations

import psycopg
from sqlalchemy import Connection


def run_script(connection: Connection, script: str) -> None:
    """Run a script exactly as written (percent signs included), inside the caller's transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        message = "A script runs on a psycopg connection only."
        raise TypeError(message)
    driver.execute(script.encode())
