"""Where state lives: PostgreSQL (truth), Redis (what may be lost), bundles (what was fitted)."""
