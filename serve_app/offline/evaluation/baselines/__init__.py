"""What recommendations are compared with: one module per kind of model."""
