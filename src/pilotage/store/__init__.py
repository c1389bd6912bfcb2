"""PostgreSQL: schema, migrations, one repository per room."""
