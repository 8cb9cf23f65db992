"""Pipedrive's leads API alone: client, limits, errors. It knows nothing of warehouses."""
