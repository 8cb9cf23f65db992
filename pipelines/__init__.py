"""Thin scripts for cron and orchestrators."""
