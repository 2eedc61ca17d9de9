-- Makes the database when it is absent, and returns the version of its schema, whether it is closed, and what
-- it says of its keys.

local stored = redis.call('HMGET', deployment, 'schema', 'cluster_id', 'closed', 'moved_to', 'sealing')
if not stored[1] and redis.call('EXISTS', deployment) == 0 and given.cluster_id then
  put(deployment, {
    schema = given.schema,
    cluster_id = given.cluster_id,
    created_at = time(now()),
    sealing = given.sealing,
  })
  return { 'found', given.schema, '', '', given.sealing or '' }
end
return { 'found', stored[2] and stored[1], stored[3] or '', stored[4] or '', stored[5] or '' }
