-- Finds whose records the database holds, if there are any, and whether it is closed.

local stored = redis.call('HMGET', deployment, 'cluster_id', 'closed', 'moved_to')
return { 'found', stored[1] or '', stored[2] or '', stored[3] or '' }
