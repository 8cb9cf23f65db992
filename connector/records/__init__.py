"""What a Pipedrive record is: its fields, and the three forms of their values. No I/O."""
