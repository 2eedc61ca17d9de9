-- Finds the catalog, in the order of the names.

local rows = records('image', redis.call('ZRANGE', base .. 'images', 0, -1))
local state = redis.call('HMGET', deployment, 'catalog', 'seeded')
return { 'found', rows, state[1] or '0', state[2] or '0' }
