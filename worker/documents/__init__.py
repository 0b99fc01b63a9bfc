"""What commands and the API answer: one JSON document for each, made in one place."""
