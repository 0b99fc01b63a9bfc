"""Task jobs in the engine: planned, claimed and stopped like all, performed without a fence."""
