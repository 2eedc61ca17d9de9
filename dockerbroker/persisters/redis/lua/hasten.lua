-- Lets an operation that waits be claimed at once.

if is_closed() then
  return { 'closed' }
end
local stored = redis.call('HMGET', operation_key(given.id), 'id', 'lease_until', 'owner')
local now = now()
if not stored[1] then
  return { 'unknown' }
elseif not stored[2] then
  return { 'over' }
elseif stored[3] and tonumber(stored[2]) > now then
  return { 'carried' }
end
lease(given.id, stored[3], time(now))
audit(given.audit)
return { 'done' }
