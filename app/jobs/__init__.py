"""Work that is due: one small interface, two engines (a table and threads on SQLite, Procrastinate on PostgreSQL)."""
