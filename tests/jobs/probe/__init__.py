"""Kinds of probes, each before something made ill on purpose."""
