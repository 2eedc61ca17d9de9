-- Lets an operation be claimed after a while.

local stored = redis.call('HMGET', operation_key(given.id), 'lease_until', 'epoch')
if not stored[1] or stored[2] ~= given.epoch then
  return { 'lost' }
end
lease(given.id, false, time(now() + given.delay))
return { 'done' }
