-- Lets no broker use the database, or lets them use it again.

local stored = redis.call('HMGET', deployment, 'mover', 'closed')
local mover, closed = stored[1] or '', stored[2] or ''
if mover ~= given.former and (mover ~= given.mover or closed ~= given.closed) then
  return { 'held' }
end
redis.call('HSET', deployment, 'closed', given.closed, 'moved_to', given.moved_to, 'mover', given.mover)
local never = tonumber(given.never)
for _, id in ipairs(redis.call('ZRANGE', base .. 'leases', 0, -1)) do
  local is_parked = tonumber(field(operation_key(id), 'lease_until')) >= never
  if given.closed == '' and is_parked then
    lease(id, false, '0.0')
  elseif given.closed ~= '' and not is_parked then
    -- Whoever carries it must not be able to write any more.
    redis.call('HINCRBY', operation_key(id), 'epoch', 1)
    lease(id, false, given.never)
  end
end
return { 'done' }
