"""How the tables of older stores become those of today: revisions of Alembic, run by `dispatcher.store.migrate`."""
