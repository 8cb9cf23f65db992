"""What a new project begins with: its settings, and a model of the desired table."""
