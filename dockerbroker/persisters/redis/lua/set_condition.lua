-- Records what was observed of an instance that exists.

local name = base .. 'conditions'
if field(name, given.id) == (given.condition or nil) then
  -- Most looks find what the last one found; a write would have to wait for the disk.
  return { 'same' }
end
if not given.condition then
  redis.call('HDEL', name, given.id)
elseif redis.call('EXISTS', key('instance', given.id)) == 1 then
  redis.call('HSET', name, given.id, given.condition)
end
return { 'set' }
