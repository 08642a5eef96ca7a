"""Repair: apply the fix of a cause, run again, and keep it if inputs held out say so."""
