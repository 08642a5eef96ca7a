"""Names and types that every component relies on."""
