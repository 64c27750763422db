"""All that leans on what other libraries do not document: their private names stand here alone."""
