"""The database roles that the policies need: one for a read-only trial, and one for working."""
