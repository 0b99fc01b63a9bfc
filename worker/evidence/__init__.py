"""What became of whose records, told to one who does not take our word for it."""
