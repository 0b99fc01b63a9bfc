"""What Tend may do: one YAML file per policy, and the models of their vocabulary."""
