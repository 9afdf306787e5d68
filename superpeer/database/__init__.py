"""The super-peer's database: tables, migrations, connections. SQLAlchemy Core, no ORM."""
