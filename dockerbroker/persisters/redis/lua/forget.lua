-- Deletes operations that were over before a time, those that were over first.

local old = redis.call('ZRANGEBYSCORE', base .. 'finished', '-inf', '(' .. given.before, 'LIMIT', 0, given.limit)
for _, member in ipairs(old) do
  local id = string.match(member, '^%d+:(.*)$')
  local row = redis.call('HMGET', operation_key(id), 'instance_id', 'binding_id')
  if row[1] then
    redis.call('ZREM', history(row[1], row[2]), id)
  end
  redis.call('DEL', operation_key(id))
  redis.call('ZREM', base .. 'operations', id)
  redis.call('ZREM', base .. 'finished', member)
end
return { old[1] and 'done' or 'none', tostring(#old) }
