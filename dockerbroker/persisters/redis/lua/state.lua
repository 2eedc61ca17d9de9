-- Finds whose records the database holds, if there are any, whether it is closed, and what it says of its keys.

local stored = redis.call('HMGET', deployment, 'cluster_id', 'closed', 'moved_to', 'sealing')
return { 'found', stored[1] or '', stored[2] or '', stored[3] or '', stored[4] or '' }
