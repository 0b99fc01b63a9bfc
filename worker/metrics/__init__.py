"""What Prometheus may ask of any process: one collector of facts, and the port that answers."""
