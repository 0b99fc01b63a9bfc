"""The console: what Tend shows, and lets people do, over HTTP. `app.py` lists its rooms."""
