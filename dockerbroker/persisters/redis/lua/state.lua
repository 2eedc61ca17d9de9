-- Finds whose records the database holds, if there are any, whether it is closed, what it says of its keys, and
-- how often its credentials have changed.

local names = { 'cluster_id', 'closed', 'moved_to', 'sealing', 'credentials' }
local stored = redis.call('HMGET', deployment, unpack(names))
return { 'found', stored[1] or '', stored[2] or '', stored[3] or '', stored[4] or '', stored[5] or '0' }
