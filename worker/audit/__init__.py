"""The record of what was done: entries and their verification."""
