"""SQLAlchemy Core mirror of the migrated schema, one file per room."""
