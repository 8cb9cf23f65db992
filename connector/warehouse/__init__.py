"""All SQL and all dlt."""
