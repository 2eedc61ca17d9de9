-- Makes the database when it is absent, and returns the version of its schema, and whether it is closed.

local stored = redis.call('HMGET', deployment, 'schema', 'cluster_id', 'closed', 'moved_to')
if not stored[1] and redis.call('EXISTS', deployment) == 0 and given.cluster_id then
  put(deployment, { schema = given.schema, cluster_id = given.cluster_id, created_at = time(now()) })
  return { 'found', given.schema, '', '' }
end
return { 'found', stored[2] and stored[1], stored[3] or '', stored[4] or '' }
