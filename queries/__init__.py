"""The SQL library and the engine that runs it."""
