-- Finds the identifier that the database was born with, and what time it is.

return { 'found', field(deployment, 'cluster_id'), time(now()) }
