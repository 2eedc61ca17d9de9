-- Finds one record.

local name = given.second and pair(given.kind, given.id, given.second) or key(given.kind, given.id)
return { 'found', record(name) or false }
