"""SQL over the PostgreSQL wire, dashboards and alert rules."""
