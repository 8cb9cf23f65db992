"""Where settings come from: full names only, read alike from everywhere."""
