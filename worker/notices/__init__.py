"""Notices: what people outside of Tend are told, queued with what it is about, sent later."""
