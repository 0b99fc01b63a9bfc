"""How to find what a policy describes and how to change it: one module per job family."""
