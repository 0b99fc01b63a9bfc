"""What Tend knows of one record: who would touch it and when, and what runs did to it."""
