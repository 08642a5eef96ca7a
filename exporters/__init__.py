"""Records and spans out of the process."""
