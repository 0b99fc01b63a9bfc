"""The console: what Tend shows over HTTP. So far its health; pages for people come later."""
