"""Everything on one machine: environment, embedded Postgres, migrations, API, worker. Standard library only."""
